"""The built-in styles: pictures drawn by ``styles/generate.py``, and networks trained by
``styles/train.py``; one manifest lists both.

In the wheel they lie in ``cnnart/builtin_styles``, in the repository in ``styles`` beside the
package. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.errors import CnnartError, UsageError, did_you_mean, reason

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 1024  # every style picture is a square of this many pixels


@dataclass(frozen=True)
class Style:
    """One built-in style. ``settings`` are overrides of StylizeConfig fields that suit it."""

    name: str
    title: str
    description: str
    path: Path
    sha256: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StyleNetworkFile:
    """A trained network that comes with cnnart; ``styles``: their descriptions by name."""

    path: Path
    sha256: str
    styles: dict[str, str]


def styles_folder() -> Path:
    """Where the manifest and the pictures lie."""
    shipped = Path(__file__).parent / "data" / "styles"
    return shipped if shipped.is_dir() else Path(__file__).parent.parent / "styles"


def builtin_styles() -> dict[str, Style]:
    """Every built-in style by name, in the manifest's order.

    The pictures are not opened (see ``defect``). Raises CnnartError if the manifest is missing or
    damaged.
    """
    return {style.name: style for style in _manifest()[0]}


def builtin_networks() -> list[StyleNetworkFile]:
    """The trained networks, for ``cnnart fast-stylize``. Raises as ``builtin_styles``."""
    return _manifest()[1]


def _manifest() -> tuple[list[Style], list[StyleNetworkFile]]:
    import json

    folder = styles_folder()
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        styles = [
            Style(
                name=entry["name"],
                title=entry["title"],
                description=entry["description"],
                path=folder / entry["file"],
                sha256=entry["sha256"],
                settings=dict(entry["settings"]),
            )
            for entry in manifest["styles"]
        ]
        said = {style.name: style.description for style in styles}
        networks = [
            StyleNetworkFile(
                folder / entry["file"],
                entry["sha256"],
                {s["name"]: s.get("description") or said[s["name"]] for s in entry["styles"]},
            )
            for entry in manifest["networks"]
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"{type(error).__name__}: {reason(error)}"
        raise CnnartError(
            f"{folder / 'manifest.json'}: the list of built-in styles cannot be read ({why});"
            " install cnnart again."
        ) from error
    return styles, networks


def find_style(name: str) -> Style:
    """The built-in style called ``name``. Raises UsageError, with the closest name, if none is."""
    styles = builtin_styles()
    if name not in styles:
        hint = did_you_mean(name, list(styles))
        raise UsageError(
            f"No built-in style is called {name!r}.{hint} `cnnart styles list` shows them all."
        )
    return styles[name]


def defect(style: Style) -> str | None:
    """What is wrong with a style's file, in one line, or None: it is there, whole and unchanged."""
    from PIL import Image

    if changed := _changed(style.name, style.path, style.sha256):
        return changed
    try:
        with Image.open(style.path, formats=["JPEG", "PNG"]) as picture:
            picture.load()
            size, mode = picture.size, picture.mode
    except (OSError, SyntaxError, ValueError) as error:
        return f"{style.name}: {style.path} does not open as a picture ({reason(error)})."
    if size != (SIDE, SIDE) or mode != "RGB":
        return f"{style.name}: {style.path} is {size[0]}x{size[1]} {mode}, not {SIDE}x{SIDE} RGB."
    return None


def network_defect(path: Path, sha256: str) -> str | None:
    """What is wrong with a trained network's file, in one line, or None."""
    return _changed(path.stem, path, sha256)


def _changed(name: str, path: Path, sha256: str) -> str | None:
    import hashlib

    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"{name}: {path} cannot be read ({error.strerror or error})."
    if found == sha256:
        return None
    return (
        f"{name}: {path} is not the file cnnart came with"
        f" (SHA-256 {found[:12]}..., expected {sha256[:12]}...)."
    )


def contact_sheet(styles: Sequence[Style], tile: int = 320, columns: int = 4) -> Image:
    """The pictures in a grid, each with its name below: an RGB image.

    ``tile`` is the side of one picture in pixels. Raises CnnartError for a picture that does not
    open.
    """
    from PIL import Image, ImageDraw, ImageFont

    gap, label = 16, 34
    columns = max(1, min(columns, len(styles)))
    rows = -(-len(styles) // columns)
    size = (gap + columns * (tile + gap), gap + rows * (tile + label + gap))
    sheet = Image.new("RGB", size, (250, 249, 246))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=20)
    for index, style in enumerate(styles):
        row, column = divmod(index, columns)
        corner = (gap + column * (tile + gap), gap + row * (tile + label + gap))
        try:
            with Image.open(style.path, formats=["JPEG", "PNG"]) as picture:
                small = picture.convert("RGB").resize((tile, tile), Image.Resampling.LANCZOS)
        except (OSError, SyntaxError, ValueError) as error:
            raise CnnartError(
                f"{style.name}: {style.path} does not open ({reason(error)}); "
                "see `cnnart styles check`."
            ) from error
        sheet.paste(small, corner)
        pen.text((corner[0], corner[1] + tile + 5), style.name, fill=(40, 38, 36), font=font)
    return sheet
