"""``cnnart texture``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import cloup

from cnnart.cli.options import (
    FileOptions,
    PresetCommand,
    check_options,
    file_options,
    keep_preset,
    photos_argument,
    runtime_options,
    save_preset_option,
    section,
    split,
    talk_options,
    work_through,
)
from cnnart.cli.types import REPEATS, PresetType, setting_option
from cnnart.commands.style_args import existing_file, named_mask_input
from cnnart.commands.texture import Texture, find_exemplars
from cnnart.errors import UsageError
from cnnart.files import WRITABLE, is_folder
from cnnart.methods.texture.config import TEXTURE_PRESETS, TILEABLE, TextureConfig
from cnnart.run.inputs import Source
from cnnart.run.outputs import plan
from cnnart.settings import make_config


def _setting(name: str, **more: Any) -> Any:
    return setting_option(TextureConfig, name, **more)


class TextureCommand(PresetCommand):
    """Takes ``--tileable`` without a value, too.

    Click has options whose value may be left out, but would take the exemplar after such a one for
    the value: ``cnnart texture --tileable bark.jpg``.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_tileable_value(args))


def with_tileable_value(args: Sequence[str]) -> list[str]:
    """The arguments with ``both`` for a ``--tileable`` that none of its values follows."""
    end = args.index("--") if "--" in args else len(args)
    following = [*args[1:end], ""]
    options = [
        "--tileable=both"
        if arg == "--tileable" and not set(after.split(",")) <= set(TILEABLE)
        else arg
        for arg, after in zip(args[:end], following, strict=True)
    ]
    return [*options, *args[end:]]


@cloup.command("texture", cls=TextureCommand)
@photos_argument("EXEMPLAR[:WEIGHT]...")
@section(
    "Basic",
    _setting("size"),
    _setting("method"),
    _setting(
        "tileable",
        help="Repeat without a seam: side by side (x), one above the other (y), or both; both, "
        "too, where no value follows.",
    ),
    cloup.option(
        "--preview-tiled",
        "tiles",
        type=REPEATS,
        metavar=REPEATS.name,
        help="Also write OUT-tiled.png, the result side by side with itself: 3x3.",
    ),
    _setting("scale"),
    _setting("seed"),
)
@section(
    "Mixtures, guides and repairs",
    cloup.option("--mix", is_flag=True, help="One texture of all EXEMPLARs, by their weights."),
    cloup.option(
        "--guide",
        "guides",
        multiple=True,
        metavar="MAP",
        help="What is where in the exemplar, in colors (with --mix: one for each exemplar).",
    ),
    cloup.option("--guide-target", metavar="MAP", help="What is to be where in the result."),
    _setting("guide_weight"),
    cloup.option(
        "--inpaint",
        metavar="MASK",
        help="Make anew what is white there, or what is found (subject, person, class:NAME, ...); "
        "all else stays exactly.",
    ),
    cloup.option(
        "--companion",
        "companions",
        multiple=True,
        metavar="FILE",
        help="A normal or roughness map, say: copied like the exemplar, to OUT-FILE.png.",
    ),
    cloup.option(
        "--ladder",
        is_flag=True,
        help="A sheet instead: the first layer alone, then up to the second, ..., then all.",
    ),
)
@file_options
@section(
    "Expert",
    _setting("patch"),
    _setting(
        "preset",
        type=PresetType(tuple(TEXTURE_PRESETS)),
        metavar=f"{'|'.join(TEXTURE_PRESETS)}|NAME",
    ),
    save_preset_option,
    _setting("layers"),
    _setting("statistic"),
    _setting("pooling"),
    _setting("optimizer"),
    _setting("steps"),
    _setting("palette_weight"),
    _setting("histogram"),
)
@runtime_options()
@talk_options()
@click.pass_context
def texture(ctx: click.Context, mix: bool, **given: Any) -> None:
    """Make more of a texture: any size, seamless if you like.

    EXEMPLAR is a file, a folder, a glob or - for standard input; each becomes a texture of its own,
    or with --mix EXEMPLAR[:WEIGHT]... all become one. Ctrl-C stops and saves the texture so far.

    \b
    cnnart texture bark.jpg --size 1024x1024
    cnnart texture bark.jpg --tileable --preview-tiled 3x3 -o tile.png
    cnnart texture moss.jpg:2 bark.jpg --mix -o mossy.png
    cnnart texture bark.png --companion bark-normal.png --size 2048 -o more.png
    cnnart texture wall.jpg --inpaint scribble.png -o mended.png
    """
    files, run, talk = split(given)
    check_options(files, talk)
    exemplars = find_exemplars(files.photos, files.recursive, files.notes)
    if not mix:
        check_single(exemplars, files)
    sources = [source for source, _ in exemplars]
    command = command_of(exemplars if mix else (), **given)
    if files.output == "-" and (command.companions or command.tiles):
        raise UsageError(
            "--companion and --preview-tiled write beside the result: give -o a file, not -."
        )
    tasks = plan(
        sources[:1] if mix else sources,
        files.output,
        style=command.label,
        format=files.format,
        protected=command.inputs(),
        options=files.writing,
    )
    keep_preset(ctx, files, talk)
    ctx.exit(work_through(command, tasks, files, run, talk))


def command_of(
    mixed: Sequence[tuple[Source, float | None]],
    tiles: tuple[int, int] | None = None,
    guides: tuple[str, ...] = (),
    guide_target: str | None = None,
    inpaint: str | None = None,
    companions: tuple[str, ...] = (),
    ladder: bool = False,
    **given: Any,
) -> Texture:
    """The command that the options ask for, but for the shared ones; ``mixed``: with ``--mix``,
    all exemplars and their weights."""
    return Texture(
        make_config(TextureConfig, given),
        mixed=further_files([source for source, _ in mixed[1:]]),
        weights=tuple(1.0 if weight is None else weight for _, weight in mixed) or (1.0,),
        guides=existing_files(guides, "--guide"),
        guide_target=existing_file(guide_target, "--guide-target"),
        inpaint=(named_mask_input(inpaint) if inpaint else None)
        or existing_file(inpaint, "--inpaint"),
        companions=existing_files(companions, "--companion"),
        tiles=tiles,
        ladder=ladder,
    )


def check_single(exemplars: Sequence[tuple[Source, float | None]], files: FileOptions) -> None:
    """Refuse what only makes sense for a mixture."""
    for source, weight in exemplars:
        if weight is not None:
            raise UsageError(
                f"{source.given}:{weight:g} has a weight, but there is no mixture: add --mix."
            )
    output = files.output
    if len(exemplars) > 1 and output and output != "-" and "{" not in output:
        path = Path(output)
        if path.suffix.lower() in WRITABLE and not is_folder(path) and not output.endswith("/"):
            raise UsageError(
                f"{len(exemplars)} exemplars for the one file {output!r}: add --mix to make one "
                "texture of them all, or give a folder (out/)."
            )


def further_files(sources: Sequence[Source]) -> tuple[Path, ...]:
    """The files to mix in. Raises UsageError for standard input, which can only come first."""
    if any(source.path is None for source in sources):
        raise UsageError("With --mix, standard input (-) must be the first exemplar.")
    return tuple(source.path for source in sources if source.path)


def existing_files(names: Sequence[str], option: str) -> tuple[Path, ...]:
    """The files of these names. Raises UsageError, naming the option, if there is none."""
    return tuple(path for name in names if (path := existing_file(name, option)))
