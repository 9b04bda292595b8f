"""Styles, masks and settings by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cnnart.commands import style_args
from cnnart.commands.style_args import choose_style, parse_mask, parse_style, read_input
from cnnart.commands.stylize import Stylize
from cnnart.errors import ImageError, UsageError
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.runtime import Runtime
from cnnart.settings import layer_weights, make_config
from tests.helpers.files import only_builtin_style, save_picture


@pytest.fixture(autouse=True)
def mosaic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return only_builtin_style(monkeypatch, tmp_path / "builtin")


def test_a_built_in_name_or_a_path_with_or_without_a_weight(mosaic: Path) -> None:
    save_picture("art.png")
    for text, path, weight, builtin in (
        ("mosaic", mosaic, 1.0, "mosaic"),
        ("mosaic:2", mosaic, 2.0, "mosaic"),
        ("art.png", Path("art.png"), 1.0, None),
        ("art.png:0.5", Path("art.png"), 0.5, None),
        ("art.png:1e-1", Path("art.png"), 0.1, None),
    ):
        style = parse_style(text)
        assert (style.path, style.weight, style.builtin) == (path, weight, builtin)


def test_a_colon_in_a_name_is_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {r"C:\art.jpg", "C:/a:b.png", "take:2"}
    monkeypatch.setattr(style_args, "is_file", lambda path: str(path) in files)
    for text, path, weight in (
        (r"C:\art.jpg", r"C:\art.jpg", 1.0),
        (r"C:\art.jpg:3", r"C:\art.jpg", 3.0),
        ("C:/a:b.png", "C:/a:b.png", 1.0),
        ("take:2", "take:2", 1.0),
        ("take:2:0.5", "take:2", 0.5),
    ):
        style = parse_style(text)
        assert (str(style.path), style.weight) == (path, weight)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mosaik", r"No style 'mosaik': .* Did you mean mosaic\? \(cnnart styles list\)"),
        ("mosaik:2", "No style 'mosaik'"),
        (r"D:\no.jpg", r"No style 'D:\\\\no.jpg'"),
        ("mosaic:x", "The weight 'x' of 'mosaic' is not a number"),
        ("mosaic:0", "The weight of 'mosaic' must be above zero, not 0"),
        ("mosaic:-1", "must be above zero"),
        ("mosaic:nan", "must be above zero"),
        ("builtin", "The style 'builtin' is a folder"),
        ("", "No style ''"),
        (":2", "No style ''"),
    ],
)
def test_what_is_no_style(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_style(text)


def test_a_style_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_args, "obstacle", lambda path: "no permission to read it")
    for read in (parse_style, style_args.choose_style):
        with pytest.raises(UsageError, match=r"The style 'a\.png' cannot be read: no permission"):
            read("a.png")


def test_masks() -> None:
    save_picture("m.png")
    assert parse_mask("m.png").path == Path("m.png")
    turned = parse_mask("inverse:m.png")
    assert (turned.path, turned.inverse) == (Path("m.png"), True)
    assert (parse_mask("alpha").path, parse_mask("inverse:alpha").inverse) == (None, True)
    with pytest.raises(UsageError, match=r"No such mask: 'n\.png'"):
        parse_mask("inverse:n.png")


def test_masks_belong_to_styles_in_order() -> None:
    save_picture("m.png")
    styles = [parse_style("mosaic"), parse_style("m.png")]
    command = Stylize.make(styles, [parse_mask("alpha")], {})
    assert [bool(style.mask) for style in command.styles] == [True, False]
    with pytest.raises(UsageError, match="3 masks for 2 styles"):
        Stylize.make(styles, [parse_mask("alpha")] * 3, {})
    with pytest.raises(UsageError, match="No style"):
        Stylize.make([], [], {})


def test_the_label_fits_a_file_name() -> None:
    save_picture("a{b}.png")
    styles = [parse_style("mosaic:2"), parse_style("a{b}.png")]
    assert Stylize.make(styles, [], {}).label == "mosaic+a_b_"


def test_all_files_are_known(mosaic: Path) -> None:
    save_picture("m.png")
    command = Stylize.make([parse_style("mosaic")], [parse_mask("m.png")], {}, Path("start.png"))
    assert command.inputs() == [mosaic, Path("m.png"), Path("start.png")]
    assert command.config.init == "picture"


def test_settings_default_then_style_then_asked() -> None:
    default = StylizeConfig()
    assert make_config(StylizeConfig, {"strength": None}) == default
    recommended = [{"strength": 0.9}]
    assert make_config(StylizeConfig, {"strength": None}, recommended).strength == 0.9
    assert make_config(StylizeConfig, {"strength": 0.0}, recommended).strength == 0.0


def test_a_blend_takes_only_what_its_styles_agree_on() -> None:
    recommended = [{"strength": 0.9, "style_scale": 2.0}, {"strength": 0.7, "style_scale": 2.0}]
    config = make_config(StylizeConfig, {}, recommended)
    assert (config.strength, config.style_scale) == (StylizeConfig.strength, 2.0)
    assert (
        make_config(StylizeConfig, {}, [{"strength": 0.9}, {}]).strength == StylizeConfig.strength
    )


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(UsageError, match=r"Unknown setting 'strenght'. Did you mean strength\?"):
        make_config(StylizeConfig, {"strenght": 1})


def test_layers_with_and_without_weights() -> None:
    assert layer_weights("relu1_1, relu2_1:0.5") == {"relu1_1": 1.0, "relu2_1": 0.5}
    assert layer_weights(["relu1_1"]) == {"relu1_1": 1.0}
    assert layer_weights({"relu1_1": 2.0}) == {"relu1_1": 2.0}
    for bad in ("", "relu1_1,,relu2_1", "relu1_1:x", "relu1_1:-1", {}):
        with pytest.raises(UsageError):
            layer_weights(bad)
    assert isinstance(make_config(StylizeConfig, {"style_layers": "relu1_1"}).style_layers, dict)


def test_a_command_is_equal_to_one_of_the_same_inputs_and_cannot_be_changed() -> None:
    command = Stylize.make([parse_style("mosaic")], [], {})
    assert command == Stylize.make([parse_style("mosaic")], [], {})
    assert command != Stylize.make([parse_style("mosaic:2")], [], {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        command.config = StylizeConfig(strength=1)  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        command.styles[0].weight = 3.0  # type: ignore[misc]


def test_a_limit_of_pixels_is_not_for_the_built_in_styles(tmp_path: Path) -> None:
    runtime = Runtime(device="cpu", max_pixels=100)
    assert read_input(choose_style("mosaic").picture, runtime).rgb.numel() > 300
    with pytest.raises(ImageError, match="limit is 100"):
        read_input(save_picture(tmp_path / "style.png"), runtime)
