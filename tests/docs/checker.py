"""Whether a command line could run: parsed by the real command, its names looked up."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from PIL import Image

from cnnart.builtin_styles import builtin_styles
from cnnart.cli import cli
from cnnart.cli import fast_stylize as fast_stylize_cli
from cnnart.commands import fast_stylize
from cnnart.commands.own_presets import OwnPreset, save_preset
from cnnart.errors import UsageError, did_you_mean

PICTURES = ("jpg", "jpeg", "png", "webp", "tiff", "tif", "gif", "html")
CLIPS = ("mp4", "mov", "mkv", "webm")
CHECKPOINTS = ("pth", "pt", "safetensors", "onnx")
FILE = re.compile(rf"[\w./*{{}}+-]+\.({'|'.join((*PICTURES, *CLIPS, *CHECKPOINTS))})\b")
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*")  # PHOTO, NAME: whatever fits
MY_PRESETS = ("ink", "mine")  # what readers are to call presets of their own
WRITTEN = ("-o", "--output", "--save", "--index")  # options whose file need not exist

# The commands that can be run up to where the work begins, and what that is called.
UP_TO_WORK = {
    "stylize": "cnnart.cli.stylize.work_through",
    "texture": "cnnart.cli.texture.work_through",
    "dream": "cnnart.cli.dream.work_through",
    "fast-stylize": "cnnart.cli.fast_stylize.work_through",
    "train-style": "cnnart.cli.train_style._train",
    "sweep": "cnnart.cli.sweep._work_through",
}
LAYER_PARAMETERS = (
    "layer",
    "layers",
    "sheet",
    "cam_layer",
    "content_layers",
    "style_layers",
    "coarse_layers",
)
CLASS_PARAMETERS = ("named", "names")  # --class, --to


def check(arguments: Sequence[str], folder: Path, *, complete: bool = True) -> None:
    """Raise for a command line that cnnart would refuse, whatever its files hold.

    Args:
        folder: an empty one, where the files that are named are made.
        complete: what is required must be there; else it is a mention: ``cnnart stylize --size N``.
    """
    arguments = list(arguments)
    complete = complete and "..." not in arguments
    context, command, rest = _find_command([word for word in arguments if word != "..."])
    if not complete and (not rest or isinstance(command, click.Group)):
        return
    with pytest.MonkeyPatch.context() as patch, _quiet():
        patch.chdir(folder)
        make_files(arguments, folder)
        patch.setenv("CNNART_CONFIG", str(folder / "config"))
        make_preset(str(command.name), arguments)
        _stub_work(patch, arguments)
        if not complete:
            for param in command.params:
                patch.setattr(param, "required", False)
        try:
            parsed = command.make_context(str(context.info_name), rest, parent=context.parent)
        except click.exceptions.Exit:  # --help and its like
            return
        with parsed:
            _check_names(str(command.name), parsed.params)
            if complete and command.name in UP_TO_WORK:
                with contextlib.suppress(click.exceptions.Exit):
                    command.invoke(parsed)


def _find_command(arguments: list[str]) -> tuple[click.Context, click.Command, list[str]]:
    """The command that the first words name, its context, and the other words."""
    command: click.Command = cli
    context = click.Context(cli, info_name="cnnart", **cli.context_settings)
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, found, arguments = command.resolve_command(context, arguments)
        if found is None:
            raise click.UsageError(f"No command {name!r}.")
        command = found
        context = click.Context(command, info_name=name, parent=context)
    return context, command, arguments


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Standard output that is no terminal, standard input with a picture in it."""
    picture = io.BytesIO()
    Image.new("RGB", (32, 32)).save(picture, "PNG")
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(picture.getvalue()))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        sys.stdin = stdin


def make_files(arguments: Sequence[str], folder: Path) -> None:
    """Make what is named like a picture, a checkpoint or a folder, and is not written to."""
    before = ""
    for word in arguments:
        named = FILE.search(word)
        for more in FILE.finditer(word, named.end() if named else 0):  # CHECKPOINT:PICTURE
            Image.new("RGB", (32, 32)).save(folder / more[0], "PNG")
        if before in WRITTEN or "{" in word:
            pass
        elif named:
            path = folder / named[0].replace("*", "a")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32)).save(path, "PNG")
        elif word.endswith("/") or "/" in word or before in ("--photos", "--in"):
            _folder_of_pictures(folder / word)
        elif PLACEHOLDER.fullmatch(word):
            Image.new("RGB", (32, 32)).save(folder / word, "PNG")
        before = word


def make_preset(command: str, arguments: Sequence[str]) -> None:
    """Make what ``--preset`` names, if no preset comes with cnnart by that name."""
    for before, word in pairwise(arguments):
        if before == "--preset" and word in MY_PRESETS:
            style = {"stylize": "night-swirls", "fast-stylize": "great-wave"}.get(command)
            save_preset(OwnPreset(word, command, {"style": [style]} if style else {"seed": 1}))


def _folder_of_pictures(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32)).save(folder / "one.png", "PNG")


def _stub_work(patch: pytest.MonkeyPatch, arguments: Sequence[str]) -> None:
    """Put nothing in the place of the work, and believe what is said of checkpoints."""
    for target in UP_TO_WORK.values():
        patch.setattr(target, lambda *_, **__: 0)
    said = [re.search(r"\.safetensors:([a-z][\w-]*)(?!\w*\.)", word) for word in arguments]
    names = [found[1] for found in said if found]
    of_file = fast_stylize.style_names

    def style_names(path: Path) -> list[str]:
        return list(of_file(path)) if path.is_absolute() else names or ["style"]

    patch.setattr(fast_stylize, "style_names", style_names)
    patch.setattr(fast_stylize, "paints_any", lambda path: path.name.startswith("any."))
    patch.setattr(fast_stylize_cli, "_refined", lambda command, *_: command)


def _check_names(command: str, given: dict[str, Any]) -> None:
    """Raise UsageError for a style, network, layer or class that does not exist."""
    for name in given.get("styles") or ():
        if command in ("stylize", "rerun"):
            _check_style(name, list(builtin_styles()))
        elif command in ("fast-stylize", "export"):
            _check_style(name, list(fast_stylize.trained_styles()))
    if command == "show":
        for name in given.get("names", ()):
            _check_style(name, [*builtin_styles(), *fast_stylize.trained_styles()])
    if command in ("fetch", "verify", "path", "import"):
        names = given.get("names") or (given.get("name"),)
        _check_networks([name for name in names if name])
    backbone = given.get("backbone")
    if backbone and not PLACEHOLDER.fullmatch(backbone):
        _check_networks([backbone])
    for parameter in LAYER_PARAMETERS:
        _check_layers(backbone or "vgg19", given.get(parameter))
    if command in ("occlusion", "saliency", "class-model", "fool"):
        for parameter in CLASS_PARAMETERS:
            for name in _as_names(given.get(parameter)):
                _check_class(name)


def _check_style(text: str, known: Sequence[str]) -> None:
    name = re.sub(r":[\d.]+$", "", text)
    if FILE.match(name) or PLACEHOLDER.fullmatch(name) or name in known:
        return
    raise UsageError(f"No style {name!r}.{did_you_mean(name, list(known))}")


def _check_networks(names: Sequence[str]) -> None:
    from cnnart.networks.detection import DETECTORS
    from cnnart.networks.segmentation import EMBEDDED, SEGMENTERS
    from cnnart.networks.zoo import network_kinds
    from cnnart.weights.store import network_names

    known = {*network_names(), *(name for kind in network_kinds().values() for name in kind)}
    known |= {*DETECTORS, *EMBEDDED, *SEGMENTERS}
    for name in names:
        if name not in known and ":" not in name:
            raise UsageError(f"No network {name!r}.{did_you_mean(name, sorted(known))}")


def _check_layers(backbone: str, given: Any) -> None:
    known = _layers_of(backbone)
    if known is None:
        return
    for text in given if isinstance(given, dict) else _as_names(given):
        for part in text.split(","):
            name = part.partition(":")[0]
            if name not in known and not PLACEHOLDER.fullmatch(name):
                raise UsageError(f"{backbone} has no layer {name!r}.")


@functools.cache
def _layers_of(backbone: str) -> list[str] | None:
    """The layers of a network that is part of cnnart, or whose shape is; None for others."""
    from cnnart.networks.zoo import open_network
    from cnnart.runtime import layer_names
    from cnnart.weights.backbones import backbone_names

    if backbone in backbone_names():
        return layer_names(backbone)
    if backbone in ("alexnet", "efficientnet-lite0"):
        return list(open_network(backbone).geometry)
    return None


@functools.cache
def _check_class(name: str) -> None:
    from cnnart.networks.imagenet import class_index
    from cnnart.weights.embedded import imagenet_classes

    if not PLACEHOLDER.fullmatch(name):
        class_index(imagenet_classes(), name, 1000)


def _as_names(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())
