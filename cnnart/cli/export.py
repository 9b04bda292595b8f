"""``cnnart export``."""

from __future__ import annotations

import cloup

from cnnart.cli.lines import say, say_path
from cnnart.cli.types import setting_option
from cnnart.files import as_path
from cnnart.methods.fast.config import FastConfig


@cloup.command("export")
@cloup.argument("styles", nargs=-1, required=True, metavar="STYLE[:WEIGHT]...")
@cloup.option(
    "-o", "--output", required=True, metavar="OUT", help="The file: .onnx or .safetensors."
)
@setting_option(
    FastConfig,
    "strength",
    help="How far to go: 0 is the photo, 1 the style. Fixed in an .onnx file.",
)
def export(styles: tuple[str, ...], output: str, strength: float | None) -> None:
    """Write a trained style for other programs, or a checkpoint of pytorch/examples as cnnart's.

    The ONNX network takes `photo`, 1x3xHxW float32 in [0, 1] of any height and width, and gives
    `picture`, the same. It is compared with torch before it is written.

    \b
    cnnart export great-wave -o great-wave.onnx
    cnnart export candy.pth -o candy.safetensors
    """
    from cnnart.commands.fast_stylize import export_styles, parse_trained

    chosen = [parse_trained(text) for text in styles]
    settled = FastConfig() if strength is None else FastConfig(strength=strength)
    worst = export_styles(chosen, output, settled.strength)
    say_path(as_path(output))
    if worst is not None:
        say(f"cnnart: differs from torch by {worst:.1e} at the most.", err=True)
