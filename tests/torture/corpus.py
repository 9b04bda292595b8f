"""Small whole files of every kind that cnnart reads, made here."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageSequence, PngImagePlugin
from safetensors.torch import save

from cnnart.commands.dream import Dream
from cnnart.commands.fast_stylize import FastStylize, TrainedStyle
from cnnart.commands.style_args import MaskInput, StyleInput
from cnnart.commands.stylize import Stylize
from cnnart.commands.texture import Texture
from cnnart.files import sha256_of
from cnnart.image.write import write_image
from cnnart.methods.dream.config import DreamConfig
from cnnart.methods.fast.checkpoint import pack
from cnnart.methods.fast.config import FastConfig
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.methods.texture.config import TextureConfig
from cnnart.run.record import build_record
from tests.helpers import fast

WIDTH, HEIGHT = 20, 14


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (HEIGHT, WIDTH, *shape), dtype=np.uint8)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    others = [other.copy() for other in options.pop("append_images", ())]
    more = {"append_images": others} if others else {}
    image.copy().save(buffer, format, **options, **more)  # saving as JPEG marks a picture
    return buffer.getvalue()


def pictures() -> list[bytes]:
    """A picture of each format and kind of pixel that this Pillow writes."""
    rgb, gray = Image.fromarray(pixels(3)), Image.fromarray(pixels())
    rgba, deep = Image.fromarray(pixels(4)), Image.fromarray(pixels().astype(np.uint16) * 257)
    floats = Image.fromarray(pixels().astype(np.float32) / 255)
    frames = [Image.fromarray(pixels(3, seed=seed)) for seed in range(3)]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    text = PngImagePlugin.PngInfo()
    text.add_text("cnnart", record_text())
    text.add_text("Comment", "c" * 300, zip=True)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    some: dict[str, Any] = {"icc_profile": profile, "dpi": (300, 300)}
    more: dict[str, Any] = {**some, "exif": exif.tobytes()}
    animated: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    wanted: list[tuple[Image.Image, str, dict[str, Any]]] = [
        *((image, "PNG", {}) for image in (rgb, rgba, gray, deep, gray.convert("1"))),
        *((image.quantize(16), "PNG", {}) for image in (rgb, gray)),
        (rgb, "PNG", {**more, "pnginfo": text}),
        (frames[0], "PNG", animated),
        (rgb, "JPEG", more),
        (rgb, "JPEG", {"progressive": True, "subsampling": 0, "comment": b"c" * 40}),
        (rgb.convert("CMYK"), "JPEG", {}),
        (gray, "JPEG", {}),
        (frames[0], "MPO", animated),
        *((rgba, "WEBP", {"lossless": flag, **more}) for flag in (True, False)),
        (frames[0], "WEBP", animated),
        *((rgb, "TIFF", {"compression": c, **some}) for c in (None, "tiff_lzw", "tiff_deflate")),
        *((rgb, "TIFF", {"compression": c}) for c in ("jpeg", "packbits", "tiff_adobe_deflate")),
        *((image, "TIFF", {}) for image in (deep, floats, rgba, rgb.convert("LAB"))),
        *((image, "TIFF", {}) for image in (gray.convert("1"), rgb.convert("CMYK"))),
        (gray.convert("1"), "TIFF", {"compression": "group4"}),
        (frames[0], "TIFF", animated),
        (rgb.quantize(16), "GIF", {"transparency": 3}),
        (frames[0], "GIF", {**animated, "comment": b"{}"}),
        *((image, "BMP", {}) for image in (rgb, rgba, gray, gray.convert("1"))),
        *((image, "PPM", {}) for image in (rgb, gray, deep, gray.convert("1"))),
        *((image, "JPEG2000", {}) for image in (rgb, rgba, gray, deep)),
        (rgb, "AVIF", more),
        (rgb, "ICO", {}),
        (rgb.resize((32, 32)), "ICNS", {}),
        *((rgb, "TGA", {"compression": c}) for c in (None, "tga_rle")),
        *((image, "PCX", {}) for image in (rgb, gray)),
        (rgb, "SGI", {}),
        (rgb, "DIB", {}),
    ]
    Image.init()
    made = [encoded(i, kind, **options) for i, kind, options in wanted if kind in Image.SAVE]
    assert len({next(ImageSequence.Iterator(Image.open(io.BytesIO(d)))).format for d in made}) > 12
    return made


def records(folder: Path) -> list[dict[str, Any]]:
    """A record of each command; the files they name lie in the folder."""
    image = Image.fromarray(pixels(3))
    for name in ("photo.png", "style.png", "mask.png"):
        image.save(folder / name)
    (folder / "candy.safetensors").write_bytes(checkpoints()[0])
    style = StyleInput("style.png", folder / "style.png", mask=MaskInput("m", folder / "mask.png"))
    trained = TrainedStyle("candy", folder / "candy.safetensors")
    commands = (
        Stylize((style,), StylizeConfig()),
        Texture(TextureConfig(), mixed=(folder / "style.png",), weights=(1.0, 0.5)),
        Dream(DreamConfig(), guide=folder / "style.png", mask=style.mask),
        FastStylize((trained,), FastConfig()),
    )
    return [json.loads(record_text(each.name, each.record(), folder)) for each in commands]


def record_text(
    command: str = "stylize", made_of: Mapping[str, Any] = {}, folder: Path | None = None
) -> str:
    name = "photo.png"
    photo = {"name": name, "path": name, "sha256": sha256_of(folder / name) if folder else "0" * 64}
    run = {
        **{"backbone": "vgg19", "weights_sha256": "0" * 64, "device": "cpu", "precision": "fp32"},
        **{"torch": "2.4", "size": [14, 20], "quality": 95},
    }
    return build_record(command, photo, made_of, run)


def written_pictures(folder: Path) -> list[bytes]:
    """As cnnart itself writes them, with a record."""
    picture = torch.from_numpy(pixels(3)).permute(2, 0, 1)[None] / 255
    made = []
    for name in ("a.png", "b.jpg", "c.webp", "d.tif"):
        write_image(folder / name, picture, record=record_text())
        made.append((folder / name).read_bytes())
    return made


def checkpoints() -> list[bytes]:
    return [
        pack(fast.checkpoint("candy")),
        pack(fast.checkpoint("a", "b", arch="small,widths=4-4,blocks=0", span=None), "fp32"),
    ]


def legacy_networks() -> list[bytes]:
    """State dicts as torch.save writes them, now and before 1.6; one that is no state dict."""
    state = {f"conv{i}.conv2d.weight": torch.rand(2, 2, 3, 3) for i in range(1, 4)}
    made = []
    for value, zipped in ((state, True), (state, False), ([1, {"a": state}], True)):
        buffer = io.BytesIO()
        torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
        made.append(buffer.getvalue())
    return made


def weights() -> list[bytes]:
    state = {f"features.{i}.weight": torch.rand(2, 2, 3, 3) for i in range(3)}
    return [save(state, {"format": "pt"}), *legacy_networks()]
