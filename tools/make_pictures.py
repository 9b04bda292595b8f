"""Make the documentation's pictures again, with the code as it stands.

    python tools/make_pictures.py                every picture (an hour on two cores)
    python tools/make_pictures.py hero styles    these only
    python tools/make_pictures.py --keep         results that lie in out/pictures are not made again
    python tools/make_pictures.py --page         docs/gallery.md only: each picture, how it is made

A picture is a grid of cells, or one file as a command wrote it. A cell is a file of the repository,
or the arguments of a ``cnnart`` command whose result it shows. Add a picture by adding a line to
PICTURES, and ``--page``.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "gallery.md"
GALLERY = "out/gallery"  # the folder that tools/make_gallery.py makes
CLIP = "out/clips/pagoda.mp4"  # what tools/make_clip.py makes of CLIP_OF
CLIP_OF = "examples/pagoda.jpg"
STYLE_FILES = sorted((ROOT / "styles").glob("*.jpg"))
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
    *(path.stem for path in STYLE_FILES),
)
PHOTOS = " ".join(
    f"examples/{name}.jpg" for name in ("pagoda", "astronaut", "coffee", "raccoon", "cat", "rocket")
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
    ``suffix``: of the output.
    """

    arguments: str
    shown: str = ""
    suffix: str = ".png"


Cell = str | Command  # a path from the repository's root, or a command


@dataclass(frozen=True)
class Picture:
    """A grid of cells, ``columns`` wide, each row scaled to ``width`` pixels in all.

    A single cell of another suffix than .png is kept as the command wrote it.
    """

    caption: str
    cells: tuple[Cell, ...]
    columns: int = 1
    width: int = 1000

    @property
    def as_written(self) -> Command | None:
        """The command whose file this is, unchanged; None for a grid."""
        cell = self.cells[0]
        return cell if isinstance(cell, Command) and cell.suffix != ".png" else None

    @property
    def suffix(self) -> str:
        return self.as_written.suffix if self.as_written else ".jpg"


def stylize(photo: str, style: str, options: str = "--size 512") -> Command:
    return Command(f"stylize examples/{photo}.jpg --style {style} {options}")


def texture(exemplar: str, options: str, shown: str = "") -> Command:
    return Command(f"texture examples/{exemplar}.jpg {options}", shown)


def dream(photo: str, options: str) -> Command:
    return Command(f"dream examples/{photo}.jpg {options}")


def inspect(caption: str, arguments: str, width: int = 1000) -> Picture:
    return Picture(caption, (Command(f"inspect {arguments}"),), width=width)


PICTURES: dict[str, Picture] = {
    "hero": Picture(
        "A photo painted in the style night-swirls",
        (stylize("pagoda", "night-swirls", "--size 1024"),),
    ),
    "stylize": Picture(
        "A photo, a style, and the photo in that style",
        (
            "examples/raccoon.jpg",
            "styles/harvest-fields.jpg",
            stylize("raccoon", "harvest-fields"),
        ),
        columns=3,
    ),
    "builtin": Picture(
        "The twelve built-in styles",
        tuple(f"styles/{path.name}" for path in STYLE_FILES),
        columns=6,
    ),
    "styles": Picture(
        "A cup of coffee in six of the built-in styles",
        tuple(stylize("coffee", name, "--size 384") for name in STYLES),
        columns=3,
    ),
    "strength": Picture(
        "Strength 0.25, 0.5 and 0.75",
        tuple(
            stylize("astronaut", "river-dots", f"--size 384 --strength {strength}")
            for strength in STRENGTHS
        ),
        columns=3,
    ),
    "color": Picture(
        "Colors of the style, of the photo, the photo's chroma, the photo's histogram",
        tuple(
            stylize("pagoda", "harvest-fields", f"--size 384 --color {color}") for color in COLORS
        ),
        columns=2,
    ),
    "regions": Picture(
        "A mask of the sky, and two styles, each on its side of it",
        (
            "examples/sky-mask.png",
            Command(
                "stylize examples/pagoda.jpg --size 512 --style night-swirls --style linocut-coast "
                "--mask examples/sky-mask.png"
            ),
        ),
        columns=2,
    ),
    "masks": Picture(
        "The subject painted; the background painted; a person and the background in two styles",
        (
            Command("fast-stylize examples/astronaut.jpg --style river-dots --mask subject"),
            Command("fast-stylize examples/astronaut.jpg --style great-wave --mask background"),
            Command(
                "fast-stylize examples/astronaut.jpg --style stained-glass --style starry-night "
                "--mask person --mask background"
            ),
        ),
        columns=3,
    ),
    "fast": Picture(
        "A pagoda in the sixteen trained styles",
        tuple(Command(f"fast-stylize examples/pagoda.jpg --style {s} --size 640") for s in TRAINED),
        columns=4,
    ),
    **{
        name: Picture(
            f"Six photos in {what}",
            (Command(f"styles show {PHOTOS} {' '.join(styles)}"),),
            width=1200,
        )
        for name, what, styles in (
            ("fast-sheet", "eight of the trained styles", TRAINED[:8]),
            ("fast-sheet-more", "the other eight", TRAINED[8:]),
        )
    },
    "fast-any": Picture(
        "Two pictures that no network was trained for, and a pagoda in the style of each",
        (
            "examples/tesserae.jpg",
            Command("fast-stylize examples/pagoda.jpg --style examples/tesserae.jpg --size 640"),
            "examples/meadow.jpg",
            Command("fast-stylize examples/pagoda.jpg --style examples/meadow.jpg --size 640"),
        ),
        columns=2,
    ),
    "fast-strength": Picture(
        "great-wave at strength 0.2, 0.5 and 1",
        tuple(
            Command(f"fast-stylize examples/astronaut.jpg --style great-wave --strength {strength}")
            for strength in (0.2, 0.5, 1)
        ),
        columns=3,
    ),
    "sweep": Picture(
        "A sweep: three strengths, each with three sizes of strokes",
        (
            Command(
                "sweep stylize examples/pagoda.jpg --style night-swirls --strength 0.2,0.5,0.8 "
                "--style-scale 0.5,1,2 --size 256"
            ),
        ),
    ),
    "variations": Picture(
        "Four variations of a texture: the seeds 0 to 3",
        (
            Command(
                "sweep texture examples/tesserae.jpg --method quilting --size 256 --variations 4"
            ),
        ),
    ),
    "texture": Picture(
        "Two patches, one continued by the network, one joined from patches",
        (
            "examples/tesserae.jpg",
            texture("tesserae", "--method gram --size 512x160"),
            "examples/meadow.jpg",
            texture("meadow", "--method quilting --size 512x160"),
        ),
        columns=2,
    ),
    "texture-tileable": Picture(
        "Two seamless tiles, each laid out 3 x 2",
        (
            texture("tesserae", "--tileable both --size 160 --preview-tiled 3x2", "-tiled"),
            texture(
                "meadow", f"{QUILTED} --tileable both --size 160 --preview-tiled 3x2", "-tiled"
            ),
        ),
        columns=2,
    ),
    "texture-mix": Picture(
        "Two exemplars, mixed by the network and by quilting",
        (
            "examples/tesserae.jpg",
            "examples/meadow.jpg",
            texture("tesserae", "examples/meadow.jpg --mix --method gram --size 320x160"),
            texture("tesserae", f"examples/meadow.jpg --mix {QUILTED} --size 320x160"),
        ),
        columns=4,
    ),
    "texture-guide": Picture(
        "A guide's target and what came of it; a scribble and the picture mended",
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
    "texture-ladder": Picture(
        "Textures from relu1_1 alone up to all five layers, and the exemplar",
        (texture("tesserae", "--ladder --size 160"),),
    ),
    "dream-presets": Picture(
        "A cup of coffee as eyes, birds, snakes, shells, flowers, leaves, architecture, cars",
        tuple(dream("coffee", f"--size 320 --preset {name}") for name in DREAMS),
        columns=4,
    ),
    "dream-layers": Picture(
        "relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3",
        tuple(dream("pagoda", f"--size 320 --layer {name}") for name in LAYERS),
        columns=5,
    ),
    "dream-guided": Picture(
        "A cup of coffee, a pagoda, and the coffee dreaming of the pagoda",
        (
            "examples/coffee.jpg",
            "examples/pagoda.jpg",
            dream("coffee", "--size 360 --guide examples/pagoda.jpg"),
        ),
        columns=3,
    ),
    "dream-sheet": Picture(
        "A sheet of 32 channels of relu4_3", (Command("dream --sheet relu4_3 --channels 0-31"),)
    ),
    "fast-clip": Picture(
        "A clip of a photo, painted in the style of The Starry Night",
        (Command(f"fast-stylize {CLIP} --style starry-night", suffix=".webp"),),
    ),
    "flight": Picture(
        "A flight into a dream",
        (
            Command(
                "dream examples/pagoda.jpg --frames 30 --fps 10 --loop --rotate 0.5 --size 208 "
                "--quality 75",
                suffix=".webp",
            ),
        ),
    ),
    "inspect-classify": inspect(
        "Four photos with their three likeliest classes",
        "classify examples/astronaut.jpg examples/coffee.jpg "
        "examples/pagoda.jpg examples/raccoon.jpg",
    ),
    "inspect-filters": inspect("The 64 kernels of AlexNet's first layer", "filters"),
    "inspect-patches": inspect(
        "Six channels of AlexNet's relu3 and the patches that excite them most",
        f"patches {GALLERY} --layer relu3 --channels 0-5 --top 8",
        width=680,
    ),
    "inspect-neighbors": inspect(
        "Neighbors of a crop of a raccoon, by features and by pixels",
        f"neighbors {GALLERY}/raccoon-10.jpg --in {GALLERY}",
        width=900,
    ),
    "inspect-embed": inspect("A t-SNE map of 96 crops", f"embed {GALLERY} --size 1200", width=528),
    "inspect-occlusion": inspect(
        "A cup, a heat map that glows on the coffee, and the cup with a gray square",
        "occlusion examples/coffee.jpg",
    ),
    "inspect-localize": inspect(
        "A box around the cup, and the map it comes from", "localize examples/coffee.jpg"
    ),
    "inspect-detect": inspect(
        "A box around the astronaut's face", "detect examples/astronaut.jpg", width=512
    ),
    "inspect-segment": Picture(
        "The subject, and a person",
        (
            Command("inspect segment examples/raccoon.jpg"),
            Command("inspect segment examples/astronaut.jpg --backbone person"),
        ),
        columns=2,
    ),
    "inspect-saliency": inspect(
        "Five saliency maps of a cup and a random one, with scores, and the object cut out",
        "saliency examples/coffee.jpg --method all --mask --score",
    ),
    "inspect-class-model": inspect(
        "A castle, a goldfish and a tree frog as the network draws them",
        "class-model --class castle --class goldfish --class 31",
    ),
    "inspect-fool": inspect(
        "A cup, the same cup seen as an ostrich, and ten times their difference",
        "fool examples/coffee.jpg --to ostrich",
    ),
    "inspect-invert": Picture(
        "A photo reconstructed from relu1_1 to relu5_1, and from Gram matrices",
        tuple(
            Command(f"inspect invert examples/raccoon.jpg --size 144 --steps 60{more}")
            for more in ("", " --gram")
        ),
    ),
}


def result_of(command: Command, keep: bool) -> Path:
    """The picture a command makes; its file is named after the command."""
    digest = hashlib.sha256(command.arguments.encode()).hexdigest()[:12]
    result = RESULTS / f"{digest}{command.suffix}"
    shown = result.with_stem(result.stem + command.shown)
    if keep and shown.is_file():
        return shown
    print(f"cnnart {command.arguments}", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    if GALLERY in command.arguments:
        subprocess.run([sys.executable, "tools/make_gallery.py", GALLERY], cwd=ROOT, check=True)
    if CLIP in command.arguments:
        subprocess.run([sys.executable, "tools/make_clip.py", CLIP_OF, CLIP], cwd=ROOT, check=True)
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


def make(name: str, keep: bool) -> None:
    """Make a picture and put it where the documentation looks for it."""
    picture = PICTURES[name]
    target = TARGET / f"{name}{picture.suffix}"
    if picture.as_written:
        shutil.copyfile(result_of(picture.as_written, keep), target)
    else:
        save(put_together(picture, keep), target)


INTRODUCTION = """# Gallery

The pictures of these pages, each with the commands that made it; several are put side by side and
scaled down. This page and the pictures are made by `python tools/make_pictures.py` (an hour on two
cores), from a clone of the repository. The photos and their licenses are in `examples/README.md`;
those of a pagoda are after a photo by danielbuechele, CC BY 2.0. The folder `out/gallery` is made
by `python tools/make_gallery.py`: six crops of each photo and of each built-in style. The clip is
made by `python tools/make_clip.py examples/pagoda.jpg out/clips/pagoda.mp4`.
"""
WIDTH = 100  # columns of the page's text
# Heading -> how the names of its pictures begin; the first that fits.
SECTIONS: dict[str, str | tuple[str, ...]] = {
    "Texture": "texture",
    "Dream": ("dream", "flight"),
    "Fast style transfer": "fast",
    "Inspect": "inspect",
    "Stylize": "",
}


def page() -> str:
    """``docs/gallery.md``."""
    grouped: dict[str, list[str]] = {"Stylize": [], **{heading: [] for heading in SECTIONS}}
    for name in PICTURES:
        heading = next(head for head, start in SECTIONS.items() if name.startswith(start))
        grouped[heading].append(name)
    parts = [INTRODUCTION]
    for heading, names in grouped.items():
        parts += [f"## {heading}\n", *map(entry, names)]
    return "\n".join(parts)


def entry(name: str) -> str:
    """A picture, and the commands and files it is made of."""
    picture = PICTURES[name]
    files = [f"`{cell}`" for cell in picture.cells if isinstance(cell, str)]
    commands = [f"cnnart {cell.arguments}" for cell in picture.cells if isinstance(cell, Command)]
    lines = [
        f"![{picture.caption}](pictures/{name}{picture.suffix})",
        "",
        f"{picture.caption}.",
        "",
    ]
    if files:
        shown = ("With " if commands else "From ") + ", ".join(files) + "."
        lines += [*textwrap.wrap(shown, WIDTH, break_on_hyphens=False), ""]
    if commands:
        lines += ["```sh", *map(folded, commands), "```", ""]
    return "\n".join(lines)


def folded(command: str) -> str:
    """A command line, continued on the next line where it is long; options keep their values."""
    glued = re.sub(r"(--\S+) (?!-)", "\\1\0", command)
    lines = textwrap.wrap(glued, WIDTH - 4, break_long_words=False, break_on_hyphens=False)
    return " \\\n    ".join(lines).replace("\0", " ")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--keep", action="store_true", help="do not repeat commands run before")
    parser.add_argument("--page", action="store_true", help="write docs/gallery.md, no pictures")
    args = parser.parse_args()
    if unknown := set(args.names) - set(PICTURES):
        parser.error(f"no picture named {', '.join(sorted(unknown))}; known: {', '.join(PICTURES)}")
    PAGE.write_text(page(), encoding="utf-8")
    for name in () if args.page else args.names or PICTURES:
        make(name, args.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
