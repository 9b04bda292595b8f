"""A small run of each command that makes pictures or networks, and what it leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cnnart.errors import CnnartError
from cnnart.image.read import read_image
from cnnart.image.write import write_image
from cnnart.methods.fast.checkpoint import load_checkpoint, pack
from tests.helpers.fast import TINY, saved
from tests.helpers.files import save_picture
from tests.helpers.pictures import make_painting, make_photo

CPU = ("--device", "cpu", "--precision", "fp32")
PHOTOS = ("a.png", "b.jpg")
TRAINING = (
    *("train-style", "painting.png", "--photos", "photos", "--arch", TINY, "--size", "64"),
    *("--batch", "2", "--style-size", "64", "--workers", "0", "--steps", "6"),
    *("--validate-every", "3", "--storage", "fp32"),
)
LAYERS = ("--layers", "relu1_1,relu2_1")

# Each writes into out/, which is not there before.
COMMANDS: dict[str, tuple[str, ...]] = {
    "stylize": (
        *("stylize", *PHOTOS, "--style", "style.png", "--size", "40", "--steps", "4"),
        *("--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_1"),
        *("--save-every", "3", "-o", "out/"),
    ),
    "dream": (
        *("dream", *PHOTOS, "--layer", "relu2_1", "--size", "40", "--steps", "4"),
        *("--octaves", "2", "-o", "out/{stem}.jpg"),
    ),
    "texture": (
        *("texture", "style.png", "--method", "gram", "--preset", "draft", "--size", "40x33"),
        *("--steps", "4", *LAYERS, "--preview", "-o", "out/bark.tif"),
    ),
    "quilting": ("texture", "a.png", "--method", "quilting", "--size", "36x32", "-o", "out/"),
    "fast-stylize": (
        *("fast-stylize", *PHOTOS, "c.png", "--style", "candy.safetensors"),
        *("-o", "out/{stem}.webp"),
    ),
    "train-style": (*TRAINING, "-o", "out/my.safetensors"),
}


@dataclass(frozen=True)
class Broken:
    """A file under a name that a user would trust, and what is wrong with it."""

    name: str
    why: str


def prepare(folder: Path) -> Path:
    """A folder with all that the commands read."""
    for index, name in enumerate((*PHOTOS, "c.png", "style.png")):
        save_picture(folder / name, 32, 28, seed=index)
    saved(folder / "candy.safetensors", "candy")
    write_image(folder / "painting.png", make_painting())
    for index in range(4):
        write_image(folder / "photos" / f"p{index}.png", make_photo(80 + index, 100, index))
    return folder


def again(command: str, folder: Path) -> tuple[str, ...]:
    """The command that goes on after it was cut off; of training, with the flag it asks for."""
    arguments = (*COMMANDS[command], *CPU)
    if command == "train-style" and (folder / "out" / "my.training.pt").exists():
        return (*arguments, "--resume")
    if command == "train-style" and (folder / "out" / "my.safetensors").exists():
        return (*arguments, "--overwrite")
    return arguments


def results(folder: Path) -> dict[str, bytes]:
    """What is to be the same in every run: the files with names people see, by their content.

    Of a training's network, all but how long it took; its log and chart tell of that, too.
    """
    return {
        path.name: _content(path)
        for path in visible(folder)
        if not path.name.endswith((".log.jsonl", ".loss.png"))
    }


def _content(path: Path) -> bytes:
    if path.suffix != ".safetensors":
        return path.read_bytes()
    made = load_checkpoint(path)
    made.training.pop("seconds")
    return pack(made, "fp32")


def visible(folder: Path) -> list[Path]:
    found = folder / "out"
    return sorted(p for p in found.rglob("*") if p.is_file() and not p.name.startswith("."))


def broken(folder: Path) -> list[Broken]:
    """Files of final names that are not whole."""
    found = []
    for path in visible(folder):
        try:
            if path.suffix in (".png", ".jpg", ".tif", ".webp"):
                read_image(path)
            elif path.suffix == ".safetensors":
                load_checkpoint(path)
            elif path.suffix == ".jsonl":
                for line in path.read_text().splitlines():
                    json.loads(line)
            elif path.suffix == ".part":
                found.append(Broken(path.name, "visible"))
        except (CnnartError, ValueError) as error:
            found.append(Broken(path.name, str(error)))
    return found
