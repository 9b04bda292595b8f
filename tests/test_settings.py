"""Settings: one place for a default, a range and a help text; what is made from it."""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnnart
from cnnart.cli import cli
from cnnart.cli.types import setting_option
from cnnart.errors import UsageError, as_flags
from cnnart.methods.dream.config import DreamConfig
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.inspect.config import SaliencyConfig
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.methods.texture.config import TextureConfig
from cnnart.settings import (
    LARGEST_SEED,
    Settings,
    layer_weights,
    make_config,
    parse_channels,
    setting,
    setting_of,
    settings_of,
)


@dataclass(frozen=True)
class Config(Settings):
    """One of each kind."""

    strength: float = setting(0.5, "How far.", low=0, high=1, ends=("photo", "style"))
    confidence: float = setting(0.9, "How sure.", above=0, below=1)
    steps: int | None = setting(None, "How long.", low=1, shown="as `preset` says")
    tv_weight: float = setting(1.0, "How smooth.", low=0)
    rate: float = setting(0.1, "How fast.", above=0)
    fps: float = setting(15.0, "How many.", above=0, high=100, what="frame rate")
    color: str = setting("style", "Which.", choices=("style", "keep"), what="color mode")
    size: int | tuple[int, int] | None = setting(None, "How large.", kind="size", low=16)
    layers: dict[str, float] = setting({"relu1_1": 1.0}, "Where.", kind="layers", low=0)
    raised: dict[str, float] | None = setting(None, "Where.", kind="layers")
    loop: bool = setting(False, "Whether.")


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({"strength": 1.5}, "Strength 1.5 is out of range: use 0 (photo) to 1 (style)."),
        ({"strength": math.nan}, "Strength nan is out of range: use 0 (photo) to 1 (style)."),
        ({"confidence": 1}, "Confidence 1 is out of range: use more than 0, less than 1."),
        ({"steps": 0}, "Steps must be at least 1, not 0."),
        ({"tv_weight": -1}, "The tv weight must not be negative."),
        ({"rate": 0}, "The rate must be above zero, not 0."),
        ({"fps": 200}, "Frame rate 200 is out of range: use more than 0 to 100."),
        ({"color": "kep"}, "Unknown color mode 'kep': use style, keep. Did you mean keep?"),
        ({"size": (8, 200)}, "Size 8 is too small: 16 pixels at least."),
        ({"strenght": 1}, "Unknown setting 'strenght'. Did you mean strength?"),
        ({"layers": "relu1_1:-1"}, "The weight of 'relu1_1' must be above zero, not -1."),
        ({"raised": "relu1_1:x"}, "The weight 'x' of 'relu1_1' is not a number."),
    ],
)
def test_what_is_out_of_range_or_unknown_is_said_in_one_sentence(given_, sentence) -> None:
    with pytest.raises(UsageError) as error:
        make_config(Config, given_)
    assert str(error.value) == sentence


def test_none_is_not_asked_for_and_layers_may_be_text() -> None:
    config = make_config(Config, {"strength": None, "layers": "relu2_1:2", "raised": "relu3_1:-1"})
    assert config == Config(layers={"relu2_1": 2.0}, raised={"relu3_1": -1.0})


def test_a_default_that_is_a_dict_belongs_to_one_config() -> None:
    Config().layers["relu5_1"] = 1.0
    assert Config().layers == {"relu1_1": 1.0}


@given(st.floats())
def test_a_config_exists_only_within_its_range(strength: float) -> None:
    if 0 <= strength <= 1:
        assert Config(strength=strength).strength == strength
    else:
        with pytest.raises(UsageError, match="out of range"):
            Config(strength=strength)


def test_replacing_checks_too() -> None:
    with pytest.raises(UsageError, match="out of range"):
        dataclasses.replace(Config(), strength=3)


@pytest.mark.parametrize(
    ("name", "kind", "help"),
    [
        ("strength", click.FloatRange, "How far.  [default: 0.5]"),
        ("steps", click.IntRange, "How long.  [default: as --preset says]"),
        ("color", click.Choice, "Which.  [default: style]"),
        ("layers", click.ParamType, "Where.  [default: relu1_1]"),
        ("loop", click.types.BoolParamType, "Whether.  [default: no-loop]"),
    ],
)
def test_an_option_is_made_from_a_setting(name: str, kind: type, help: str) -> None:
    command = click.command()(setting_option(Config, name)(lambda **_: None))
    (option,) = command.params
    assert isinstance(option.type, kind)
    assert option.help == help
    assert option.default is None
    assert option.opts == [f"--{name}"]


def test_the_options_range_is_the_settings() -> None:
    command = click.command()(setting_option(Config, "confidence")(lambda **_: None))
    found = command.params[0].type
    assert (found.min, found.max, found.min_open, found.max_open) == (0, 1, True, True)


def test_channels_and_layers_refuse_what_they_are_not() -> None:
    assert parse_channels("0-3, 7,2") == (0, 1, 2, 3, 7)
    for wrong in ("", "a", "3-1", "1-", str(1 << 20)):
        with pytest.raises(UsageError, match="Channels"):
            parse_channels(wrong)
    with pytest.raises(UsageError, match="No layer names"):
        layer_weights({})


def configs() -> Iterator[type]:
    """Every config of the package."""
    import importlib

    for path in sorted(Path(cnnart.__file__).parent.glob("methods/**/config.py")):
        name = ".".join(path.relative_to(Path(cnnart.__file__).parents[1]).with_suffix("").parts)
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, type) and issubclass(value, Settings) and value is not Settings:
                yield value


@pytest.mark.parametrize("config", list(configs()), ids=lambda c: c.__name__)
def test_every_setting_says_in_a_full_phrase_what_it_is(config: type) -> None:
    found = list(settings_of(config))
    assert found
    for field, known in found:
        assert known.help.endswith("."), field.name
        assert not known.help.startswith("Of "), field.name  # a fragment that leans on the flag
        setting_of(config, field.name)
    config()  # the defaults are within their own ranges


def options(command: click.Command) -> Iterator[str]:
    """Every option of a command and of those below it, as a setting is called."""
    for param in command.params:
        for spelled in (*param.opts, *param.secondary_opts):
            if spelled.startswith("--"):
                yield spelled[2:].replace("-", "_")
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child
            yield from options(child)


def test_every_setting_that_a_message_names_is_an_option() -> None:
    """```max_memory``` in a message becomes ``--max-memory``, and that exists."""
    known, root = set(options(cli)), Path(cnnart.__file__).parent
    for path in root.rglob("*.py"):
        if path.is_relative_to(root / "studio"):
            continue  # a request has keys, and its answer names these
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if id(node) in docs:
                    continue
                for name in re.findall(r"(?<!`)`([a-z][a-z_]*)`(?!`)", node.value):
                    assert name in known, f"{path.relative_to(root)}: {name}"


def test_only_settings_become_flags() -> None:
    message = "allow more with `max_memory` (`cnnart styles list` shows them, like `relu4_2`)."
    assert as_flags(message) == (
        "allow more with --max-memory (`cnnart styles list` shows them, like `relu4_2`)."
    )


@pytest.mark.parametrize(
    ("seed", "sentence"),
    [
        (-1, "Seed -1 is out of range: use 0 to 9223372036854775807."),
        (2**63, "Seed 9223372036854775808 is out of range"),
        (1.5, "Seed must be a whole number, not 1.5."),
        (True, "Seed must be a whole number, not True."),
        ("7", "Seed must be a whole number, not '7'."),
        (math.nan, "Seed must be a whole number, not nan."),
    ],
)
def test_one_rule_for_seeds(seed: object, sentence: str) -> None:
    for config in (StylizeConfig, DreamConfig, TextureConfig, SaliencyConfig, TrainConfig):
        with pytest.raises(UsageError, match=re.escape(sentence)):
            make_config(config, {"seed": seed})
        assert make_config(config, {"seed": LARGEST_SEED}).seed == LARGEST_SEED


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, np.float32("inf"), "0.5"])
def test_what_is_no_number_is_refused_everywhere(value: object) -> None:
    for config, name in ((StylizeConfig, "content_weight"), (TrainConfig, "learning_rate")):
        with pytest.raises(UsageError, match=r"must be|must not be|is out of range"):
            make_config(config, {name: value})


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (10**7, "Size 10000000 is too large: 1000000 pixels at most."),
        (512.5, "Size must be a whole number or two of them, not 512.5."),
    ],
)
def test_sizes_that_no_picture_has(size: object, sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        make_config(StylizeConfig, {"size": size})


def test_a_number_that_is_a_slip_of_the_finger() -> None:
    with pytest.raises(UsageError, match="Steps 10000000 is out of range: use up to 1000000"):
        make_config(StylizeConfig, {"steps": 10**7})
    with pytest.raises(UsageError, match="no layer has so many"):
        parse_channels("9" * 5000)
