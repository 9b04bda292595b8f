"""``cnnart export``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("styles", nargs=-1, required=True, metavar="STYLE[:WEIGHT]...")
@click.option(
    "-o", "--output", required=True, metavar="OUT", help="The file: .onnx or .safetensors."
)
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="0: the photo; 1: the style. Fixed in an .onnx file.",
)
def export(styles: tuple[str, ...], output: str, strength: float) -> None:
    """Write a trained style for other programs, or a checkpoint of pytorch/examples as cnnart's.

    The ONNX network takes `photo`, 1x3xHxW float32 in [0, 1] of any height and width, and gives
    `picture`, the same. It is compared with torch before it is written.

    \b
    cnnart export my.safetensors -o my.onnx
    cnnart export candy.pth -o candy.safetensors
    """
    from cnnart.errors import UsageError
    from cnnart.jobs.fast_stylizing import parse_trained

    chosen = [parse_trained(text) for text in styles]
    path = Path(output).expanduser()
    if path.suffix.lower() not in (".onnx", ".safetensors"):
        raise UsageError(f"The output {output!r} must end in .onnx or .safetensors.")
    if len({style.path for style in chosen}) > 1:
        raise UsageError("Styles of several networks cannot be written as one: name one file's.")
    if path.exists() and path.samefile(chosen[0].path):
        raise UsageError(f"The result would overwrite the input {output!r}: choose another -o.")
    from cnnart.fast.checkpoint import load_checkpoint, save_checkpoint

    checkpoint = load_checkpoint(chosen[0].path)
    if path.suffix.lower() == ".safetensors":
        save_checkpoint(path, checkpoint)
        click.echo(str(path))
        return
    from cnnart.fast.exporting import export_onnx

    opacity = checkpoint.table.opacity(strength)
    row = checkpoint.table.row({style.name: style.weight for style in chosen}, strength)
    worst = export_onnx(checkpoint, row, path, opacity)
    click.echo(str(path))
    click.echo(f"cnnart: differs from torch by {worst:.1e} at the most.", err=True)
