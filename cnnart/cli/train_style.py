"""``cnnart train-style``."""

from __future__ import annotations

from typing import Any

import click

from cnnart.cli.options import RunOptions, TalkOptions, run_options, setting, talk_options
from cnnart.cli.values import LAYERS
from cnnart.config import TRAIN_PRESETS, TrainConfig

FACTOR = click.FloatRange(0)
POSITIVE = click.FloatRange(0, min_open=True)


def _setting(name: str, help: str, *flags: str, **more: Any) -> Any:
    return setting(TrainConfig, name, help, *flags, **more)


@click.command("train-style")
@click.argument("paintings", nargs=-1, required=True, metavar="PAINTING...")
@click.option("--photos", required=True, metavar="DIR", help="Photos to learn on: a few hundred.")
@click.option("-o", "--output", required=True, metavar="OUT", help="The checkpoint: .safetensors.")
@click.option("--into", metavar="FILE", help="Add the styles to this checkpoint's network.")
@_setting("preset", "How long to train.", type=click.Choice(list(TRAIN_PRESETS)))
@_setting("steps", "Batches to train on.", type=click.IntRange(1), shown="as --preset says")
@_setting("size", "Side of the crops in pixels.", type=click.IntRange(64))
@_setting("batch", "Photos per step, over all processes.", type=click.IntRange(1))
@_setting("arch", "johnson or small; or varied: small,blocks=7,widths=32-64")
@_setting("style_size", "Long side of the paintings: larger strokes.", type=click.IntRange(64))
@_setting("balance", "Smaller: more style, less of the photo.", type=POSITIVE)
@click.option("--resume", is_flag=True, help="Continue the run that OUT's autosave holds.")
@click.option("--overwrite", is_flag=True, help="Begin anew over an existing OUT.")
@_setting("content_weight", "Times what calibration chooses.", type=FACTOR)
@_setting("style_weight", "Times what calibration chooses.", type=FACTOR)
@_setting("palette_weight", "The style's colours.", type=FACTOR)
@_setting("tv_weight", "Smoothness.", type=FACTOR)
@_setting("content_layers", "Where content is compared.", type=LAYERS)
@_setting("style_layers", "Where style is compared.", type=LAYERS)
@_setting("coarse_layers", "The same, at half the size.", type=LAYERS)
@_setting("learning_rate", "Of Adam.", type=POSITIVE)
@_setting("validate_every", "Steps between validations.", type=click.IntRange(1))
@_setting("seed", "Of all randomness.", type=int)
@click.option("--keep-going", is_flag=True, help="Whatever validation shows.")
@click.option("--licence", default="not stated", help="Of the styles, kept in the checkpoint.")
@click.option(
    "--storage",
    type=click.Choice(["fp16", "bf16", "fp32"]),
    default="fp16",
    show_default=True,
    help="Of the weights in the file.",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Threads that read photos ahead.",
)
@run_options
@talk_options
@click.pass_context
def train_style(
    ctx: click.Context,
    paintings: tuple[str, ...],
    photos: str,
    output: str,
    into: str | None,
    resume: bool,
    overwrite: bool,
    keep_going: bool,
    licence: str,
    storage: str,
    workers: int,
    run: RunOptions,
    talk: TalkOptions,
    **settings: Any,
) -> None:
    """Train a network that paints any photo in a style within a blink.

    PAINTING is a picture or the name of a built-in style; NAME=FILE names it. All of them go into
    one network. Ctrl-C stops and saves; --resume continues. Several GPUs or machines: torchrun.

    \b
    cnnart train-style painting.jpg --photos photos/ -o my.safetensors
    cnnart train-style a.jpg b.jpg --photos photos/ -o two.safetensors --time-budget 8h
    cnnart train-style new.jpg --photos photos/ --into two.safetensors -o three.safetensors
    """
    from cnnart.errors import UsageError
    from cnnart.jobs.training import make_train_config, make_train_recipe, refuse_overwriting

    if talk.quiet and talk.json:
        raise UsageError("--quiet and --json contradict each other.")
    recipe = make_train_recipe(
        paintings,
        photos,
        output,
        make_train_config(settings),
        into=into,
        resume=resume,
        licence=licence,
        storage=storage,
        workers=workers,
        keep_going=keep_going,
    )
    refuse_overwriting(recipe, overwrite)
    ctx.exit(_train(recipe, run, talk))


def _train(recipe: Any, run: RunOptions, talk: TalkOptions) -> int:
    from cnnart.engine import Engine
    from cnnart.jobs.progress import make_reporter
    from cnnart.jobs.train_studio import TrainStudio

    given = {name: value for name, value in vars(run).items() if value is not None}
    reporter = make_reporter(quiet=talk.quiet, json_lines=talk.json)
    studio = TrainStudio(
        recipe,
        Engine(**given),
        reporter,
        save_every=talk.save_every or 0,
        preview=talk.preview is not False,
    )
    return studio.run()
