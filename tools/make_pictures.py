"""Make the README's pictures again, with the code as it stands.

    python tools/make_pictures.py                every picture (an hour on two cores)
    python tools/make_pictures.py hero styles    these only
    python tools/make_pictures.py --keep         results that lie in out/pictures are not made again

A README picture is a grid of cells. A cell is a file of the repository, or the arguments of a
``cnnart`` command whose result it shows. Add a picture by adding a line to PICTURES.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "pictures"
STYLE_FILES = (ROOT / "styles").glob("*.jpg")
RESULTS = ROOT / "out" / "pictures"  # what the commands made, before it is put together
LARGEST = 200_000  # bytes of a finished picture
QUALITIES = (92, 88, 84, 80, 75, 70, 60)
GAP = 8  # white pixels between cells

STYLES = (
    "night-swirls",
    "stained-glass",
    "linocut-coast",
    "watercolour-garden",
    "pop-halftone",
    "torn-paper",
)
TRAINED = (
    "starry-night",
    "the-scream",
    "great-wave",
    "udnie",
    "night-swirls",
    "stained-glass",
    "watercolour-garden",
    "linocut-coast",
)
STRENGTHS = (0.25, 0.5, 0.75)
COLORS = ("style", "keep", "luma", "histogram")
QUILTED = "--method quilting"
DREAMS = ("eyes", "birds", "snakes", "shells", "flowers", "leaves", "architecture", "cars")
LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


@dataclass(frozen=True)
class Command:
    """``cnnart ARGUMENTS``, without ``--output``.

    ``shown``: what the name of the file to show adds to the output's, where that is another one.
    """

    arguments: str
    shown: str = ""


Cell = str | Command  # a path from the repository's root, or a command


@dataclass(frozen=True)
class Picture:
    """A grid of cells, ``columns`` wide, each row scaled to ``width`` pixels in all."""

    cells: tuple[Cell, ...]
    columns: int = 1
    width: int = 1000


def stylize(photo: str, style: str, options: str = "--size 512") -> Command:
    return Command(f"stylize examples/{photo}.jpg --style {style} {options}")


def texture(exemplar: str, options: str, shown: str = "") -> Command:
    return Command(f"texture examples/{exemplar}.jpg {options}", shown)


def dream(photo: str, options: str) -> Command:
    return Command(f"dream examples/{photo}.jpg {options}")


def inspect(arguments: str) -> Picture:
    return Picture((Command(f"inspect {arguments}"),))


PICTURES: dict[str, Picture] = {
    "hero": Picture((stylize("pagoda", "night-swirls", "--size 1024"),)),
    "stylize": Picture(
        (
            "examples/raccoon.jpg",
            "styles/harvest-fields.jpg",
            stylize("raccoon", "harvest-fields"),
        ),
        columns=3,
    ),
    "builtin": Picture(tuple(f"styles/{path.name}" for path in sorted(STYLE_FILES)), columns=6),
    "styles": Picture(tuple(stylize("coffee", name, "--size 384") for name in STYLES), columns=3),
    "strength": Picture(
        tuple(
            stylize("astronaut", "river-dots", f"--size 384 --strength {strength}")
            for strength in STRENGTHS
        ),
        columns=3,
    ),
    "color": Picture(
        tuple(
            stylize("pagoda", "harvest-fields", f"--size 384 --color {color}") for color in COLORS
        ),
        columns=2,
    ),
    "regions": Picture(
        (
            "examples/sky-mask.png",
            Command(
                "stylize examples/pagoda.jpg --size 512 --style night-swirls --style linocut-coast "
                "--mask examples/sky-mask.png"
            ),
        ),
        columns=2,
    ),
    "fast": Picture(
        tuple(Command(f"fast-stylize examples/pagoda.jpg --style {s} --size 640") for s in TRAINED),
        columns=4,
    ),
    "fast-strength": Picture(
        tuple(
            Command(f"fast-stylize examples/astronaut.jpg --style great-wave --strength {strength}")
            for strength in (0.2, 0.5, 1)
        ),
        columns=3,
    ),
    "texture": Picture(
        (
            "examples/tesserae.jpg",
            texture("tesserae", "--method gram --size 512x160"),
            "examples/meadow.jpg",
            texture("meadow", "--method quilting --size 512x160"),
        ),
        columns=2,
    ),
    "texture-tileable": Picture(
        (
            texture("tesserae", "--tileable both --size 160 --preview-tiled 3x2", "-tiled"),
            texture(
                "meadow", f"{QUILTED} --tileable both --size 160 --preview-tiled 3x2", "-tiled"
            ),
        ),
        columns=2,
    ),
    "texture-mix": Picture(
        (
            "examples/tesserae.jpg",
            "examples/meadow.jpg",
            texture("tesserae", "examples/meadow.jpg --mix --method gram --size 320x160"),
            texture("tesserae", f"examples/meadow.jpg --mix {QUILTED} --size 320x160"),
        ),
        columns=4,
    ),
    "texture-guide": Picture(
        (
            "examples/guide-target.png",
            texture(
                "tesserae",
                "examples/meadow.jpg --mix --guide examples/guide-tesserae.png "
                "--guide examples/guide-meadow.png --guide-target examples/guide-target.png",
            ),
            "examples/scribbled.jpg",
            texture("scribbled", "--inpaint examples/scribble-mask.png"),
        ),
        columns=4,
    ),
    "texture-ladder": Picture((texture("tesserae", "--ladder --size 160"),)),
    "dream-presets": Picture(
        tuple(dream("coffee", f"--size 320 --preset {name}") for name in DREAMS), columns=4
    ),
    "dream-layers": Picture(
        tuple(dream("pagoda", f"--size 320 --layer {name}") for name in LAYERS), columns=5
    ),
    "dream-guided": Picture(
        (
            "examples/coffee.jpg",
            "examples/pagoda.jpg",
            dream("coffee", "--size 360 --guide examples/pagoda.jpg"),
        ),
        columns=3,
    ),
    "dream-sheet": Picture((Command("dream --sheet relu4_3 --channels 0-31"),)),
    "inspect-classify": inspect(
        "classify examples/astronaut.jpg examples/coffee.jpg "
        "examples/pagoda.jpg examples/raccoon.jpg"
    ),
    "inspect-filters": inspect("filters"),
    "inspect-occlusion": inspect("occlusion examples/coffee.jpg"),
    "inspect-saliency": inspect("saliency examples/coffee.jpg --method all --mask --score"),
    "inspect-class-model": inspect("class-model --class castle --class goldfish --class 31"),
    "inspect-fool": inspect("fool examples/coffee.jpg --to ostrich"),
    "inspect-invert": Picture(
        tuple(
            Command(f"inspect invert examples/raccoon.jpg --size 144 --steps 60{more}")
            for more in ("", " --gram")
        )
    ),
}


def result_of(command: Command, keep: bool) -> Path:
    """The picture a command makes; its file is named after the command."""
    digest = hashlib.sha256(command.arguments.encode()).hexdigest()[:12]
    result = RESULTS / f"{digest}.png"
    shown = result.with_stem(result.stem + command.shown)
    if keep and shown.is_file():
        return shown
    print(f"cnnart {command.arguments}", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    cnnart = [sys.executable, "-m", "cnnart", *shlex.split(command.arguments)]
    subprocess.run([*cnnart, "--output", str(result)], cwd=ROOT, check=True)
    return shown


def load(cell: Cell, keep: bool) -> Image.Image:
    path = ROOT / cell if isinstance(cell, str) else result_of(cell, keep)
    with Image.open(path) as image:
        return image.convert("RGB")


def row_of(cells: list[Image.Image], width: int) -> Image.Image:
    """Pictures side by side at one height, ``width`` pixels in all; none is enlarged."""
    free = width - GAP * (len(cells) - 1)
    height = free / sum(cell.width / cell.height for cell in cells)
    height = round(min([height, *(cell.height for cell in cells)]))
    small = [
        cell.resize((round(cell.width * height / cell.height), height), Image.Resampling.LANCZOS)
        for cell in cells
    ]
    total = sum(cell.width for cell in small) + GAP * (len(small) - 1)
    row = Image.new("RGB", (total, height), "white")
    left = 0
    for cell in small:
        row.paste(cell, (left, 0))
        left += cell.width + GAP
    return row


def put_together(picture: Picture, keep: bool) -> Image.Image:
    cells = [load(cell, keep) for cell in picture.cells]
    rows = [
        row_of(cells[start : start + picture.columns], picture.width)
        for start in range(0, len(cells), picture.columns)
    ]
    height = sum(row.height for row in rows) + GAP * (len(rows) - 1)
    image = Image.new("RGB", (max(row.width for row in rows), height), "white")
    top = 0
    for row in rows:
        image.paste(row, (0, top))
        top += row.height + GAP
    return image


def save(image: Image.Image, target: Path) -> None:
    """As JPEG, at the best quality that stays below LARGEST bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for quality in QUALITIES:
        image.save(target, quality=quality, optimize=True, progressive=True)
        if target.stat().st_size <= LARGEST:
            break
    print(f"{target.relative_to(ROOT).as_posix()}: {target.stat().st_size / 1000:.0f} kB")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--keep", action="store_true", help="do not repeat commands run before")
    args = parser.parse_args()
    if unknown := set(args.names) - set(PICTURES):
        parser.error(f"no picture named {', '.join(sorted(unknown))}; known: {', '.join(PICTURES)}")
    for name in args.names or PICTURES:
        save(put_together(PICTURES[name], args.keep), TARGET / f"{name}.jpg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
