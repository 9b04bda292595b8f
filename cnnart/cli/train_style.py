"""``cnnart train-style``."""

from __future__ import annotations

from typing import Any

import click
import cloup

from cnnart.cli.options import (
    RunOptions,
    TalkOptions,
    make_reporter,
    make_runtime,
    runtime_options,
    section,
    take,
    talk_options,
)
from cnnart.cli.types import setting_option
from cnnart.commands.train_style import STORAGE, TrainStyle
from cnnart.methods.fast.header import UNSTATED
from cnnart.methods.fast.train.config import AUTO, TrainConfig


class BatchType(click.ParamType):
    """A number, or ``auto``."""

    name = "N|auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """Fails as wrong usage for anything else."""
        return AUTO if value == AUTO else click.IntRange(1).convert(value, param, ctx)


def _setting(name: str, **more: Any) -> Any:
    return setting_option(TrainConfig, name, **more)


@cloup.command("train-style")
@cloup.argument("paintings", nargs=-1, required=True, metavar="PAINTING...")
@section(
    "Basic",
    cloup.option(
        "--photos", required=True, metavar="DIR", help="Photos to learn on: a few hundred."
    ),
    cloup.option(
        "-o", "--output", required=True, metavar="OUT", help="The checkpoint: .safetensors."
    ),
    _setting("preset"),
    _setting("balance"),
    _setting("style_size"),
    cloup.option("--into", metavar="FILE", help="Add the styles to this checkpoint's network."),
    cloup.option(
        "--start-from", metavar="FILE", help="Begin with this checkpoint's weights and train all."
    ),
    cloup.option(
        "--arbitrary",
        metavar="DIR",
        help="Learn from these hundreds of paintings, too, what makes a style: the network paints "
        "in that of any picture then.",
    ),
    _setting("seed"),
)
@section(
    "Files",
    cloup.option("--resume", is_flag=True, help="Continue the unfinished run of OUT."),
    cloup.option("--overwrite", is_flag=True, help="Begin anew over an existing OUT."),
    cloup.option(
        "--license",
        "--licence",
        "license",
        default=UNSTATED,
        metavar="TEXT",
        show_default=True,
        help="License of the styles, kept in the checkpoint.",
    ),
    cloup.option(
        "--storage",
        type=click.Choice(STORAGE),
        default=STORAGE[0],
        show_default=True,
        help="Precision of the weights in the file.",
    ),
)
@section(
    "Expert",
    _setting("arch"),
    _setting("steps"),
    _setting("size"),
    _setting("small_crop_fraction"),
    _setting("batch", type=BatchType()),
    _setting("content_weight"),
    _setting("style_weight"),
    _setting("palette_weight"),
    _setting("tv_weight"),
    _setting("content_layers"),
    _setting("style_layers"),
    _setting("coarse_layers"),
    _setting("learning_rate"),
    _setting("validate_every"),
    cloup.option("--keep-going", is_flag=True, help="Go on whatever validation shows."),
    cloup.option(
        "--workers",
        type=click.IntRange(0),
        default=None,
        help="Threads that read photos ahead.  [default: 1; for a GPU, as many as cores, up to 16]",
    ),
)
@runtime_options()
@talk_options(without=("open",))
@click.pass_context
def train_style(
    ctx: click.Context,
    paintings: tuple[str, ...],
    photos: str,
    output: str,
    into: str | None,
    start_from: str | None,
    arbitrary: str | None,
    resume: bool,
    overwrite: bool,
    keep_going: bool,
    license: str,
    storage: str,
    workers: int | None,
    **given: Any,
) -> None:
    """Train a network that paints any photo in a style within a blink.

    PAINTING is a picture or the name of a built-in style; NAME=FILE names it. All of them go into
    one network. Ctrl-C stops and saves; --resume continues. Several GPUs or machines: torchrun.

    \b
    cnnart train-style painting.jpg --photos photos/ -o my.safetensors
    cnnart train-style a.jpg b.jpg --photos photos/ -o two.safetensors --time-budget 8h
    cnnart train-style new.jpg --photos photos/ --into two.safetensors -o three.safetensors
    """
    run, talk = take(given, RunOptions), take(given, TalkOptions)
    command = TrainStyle.make(
        paintings,
        photos,
        output,
        given,
        into=into,
        start_from=start_from,
        arbitrary=arbitrary,
        resume=resume,
        license=license,
        storage=storage,
        workers=workers,
        keep_going=keep_going,
    )
    if not overwrite:
        command.refuse_overwriting()
    ctx.exit(_train(command, run, talk))


def _train(command: TrainStyle, run: RunOptions, talk: TalkOptions) -> int:
    from cnnart.commands.training_run import TrainingRun

    return TrainingRun(
        command,
        make_runtime(run),
        make_reporter(talk),
        save_every=talk.save_every or 0,
        preview=talk.preview is not False,
    ).run()
