"""What ``cnnart dream`` is to make, by its options: of a photo, from noise, a sheet, a flight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cnnart.cli.options import FileOptions, RunOptions, TalkOptions
from cnnart.cli.paint import check_options, paint, work_through
from cnnart.config import FlightConfig, VisualizeConfig, check_visualize_config
from cnnart.errors import UsageError
from cnnart.jobs.dreaming import (
    DreamRecipe,
    find_guide,
    make_dream_config,
    parse_layers,
    parse_place,
)
from cnnart.jobs.noise_dreams import NoiseRecipe
from cnnart.jobs.recipe import parse_mask
from cnnart.jobs.sheets import SheetRecipe, parse_channels

FLIGHT = ("zoom", "rotate", "fps", "loop")


def work_on(
    given: Mapping[str, Any], files: FileOptions, run: RunOptions, talk: TalkOptions
) -> int:
    """Do what the options say; returns the exit code. ``given``: None where not given."""
    check_options(files, talk)
    asked = {k: v for k, v in given.items() if v is not None and v is not False and v != ()}
    sheet, from_noise = asked.pop("sheet", None), asked.pop("source") == "noise"
    frames = asked.pop("frames", None)
    flight = {name: asked.pop(name) for name in FLIGHT if name in asked}
    if flight and frames is None:
        raise UsageError(f"--{next(iter(flight))} is for flights: also say --frames N.")
    for name, parse in (("layers", parse_layers), ("neuron", parse_place)):
        if name in asked:
            asked[name] = parse(asked[name])
    if "channels" in asked:
        asked["channels"] = parse_channels(asked["channels"])
    if sheet or from_noise:
        if files.photos or frames:
            raise UsageError("--sheet and --from noise start from nothing: no PHOTO, no --frames.")
        recipe = sheet_recipe(sheet, asked) if sheet else noise_recipe(asked)
        return work_through(recipe.tasks(files.output, files.format), recipe, files, run, talk)
    dream = dream_recipe(asked)
    if not files.photos:
        raise UsageError("No PHOTO given; without one there are --from noise and --sheet LAYER.")
    if frames is None:
        return paint(dream, files, run, talk)
    return fly(dream, FlightConfig(frames=frames, **flight), files, run, talk)


def dream_recipe(asked: dict[str, Any]) -> DreamRecipe:
    """The dream of a photo."""
    guide, mask = asked.pop("guide", None), asked.pop("mask", None)
    return DreamRecipe(
        make_dream_config(asked),
        find_guide(guide) if guide else None,
        parse_mask(mask) if mask else None,
    )


def sheet_recipe(layer: str, asked: dict[str, Any]) -> SheetRecipe:
    """The sheet of a layer."""
    channels = asked.pop("channels", None)
    return SheetRecipe(layer, channels, visualize_config(asked, "--sheet"))


def noise_recipe(asked: dict[str, Any]) -> NoiseRecipe:
    """A picture from noise: of a preset, or of layers and their channels."""
    names = ("preset", "layers", "channels", "neuron", "objective")
    aim = {name: asked.pop(name) for name in names if name in asked}
    config = visualize_config({"size": 512} | asked, "--from noise")
    return NoiseRecipe(make_dream_config(aim), config)


def visualize_config(asked: Mapping[str, Any], option: str) -> VisualizeConfig:
    """The settings of a picture from nothing. Raises UsageError for those it does not have."""
    known = [field.name for field in fields(VisualizeConfig)]
    for name in asked:
        if name not in known:
            raise UsageError(f"--{name.replace('_', '-')} means nothing with {option}.")
    config = VisualizeConfig(**asked)
    check_visualize_config(config)
    return config


def fly(
    dream: DreamRecipe, flight: FlightConfig, files: FileOptions, run: RunOptions, talk: TalkOptions
) -> int:
    """A flight into the dream of each photo."""
    from cnnart.jobs.files import expand
    from cnnart.jobs.flying import FlightRecipe, plan_flights

    recipe = FlightRecipe(dream, flight)
    sources = expand(files.photos, recursive=files.recursive)
    tasks = plan_flights(sources, files.output, recipe.label, recipe.files())
    return work_through(tasks, recipe, files, run, talk)
