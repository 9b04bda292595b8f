"""``cnnart dream`` from options to files; tiny pictures on the real network's first layers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import cnnart
from cnnart import runtime as engine
from cnnart.cli import cli
from cnnart.errors import CnnartError, as_flags
from cnnart.methods.dream.presets import DREAMS
from tests.helpers.files import cnnart_process, save_picture

QUICK = ["--layer", "relu2_1", "--size", "40", "--steps", "2", "--octaves", "1"]
CPU = ["--device", "cpu", "--precision", "fp32"]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png")
    save_picture("alpha.png")
    save_picture("guide.png", seed=2)


def run(*arguments: str) -> str:
    """Standard output of ``cnnart dream``; its errors are raised."""
    result = CliRunner().invoke(cli, ["dream", *arguments, *CPU], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str) -> str:
    """The sentence of a wrong usage, found before any network was loaded."""
    result = CliRunner().invoke(cli, ["dream", *arguments])
    assert isinstance(result.exception, CnnartError | SystemExit), result.exception
    code = getattr(result.exception, "exit_code", result.exit_code)
    assert code == 2
    if isinstance(result.exception, CnnartError):
        return as_flags(str(result.exception))
    return result.output


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_a_dream_is_named_after_photo_and_layer() -> None:
    assert run("photo.png", *QUICK).split() == ["photo-relu2_1.png"]
    assert Image.open("photo-relu2_1.png").size == (40, 30)
    run("photo.png", *QUICK, "--strength", "0", "-o", "still.png")
    assert np.abs(pixels("photo-relu2_1.png") - pixels("still.png")).mean() > 1


def test_the_default_is_a_preset() -> None:
    run("photo.png", "--size", "40", "--steps", "1")
    assert Path("photo-eyes.png").exists()


def test_rerun_makes_the_same_picture() -> None:
    Image.new("L", (64, 48), 255).save("mask.png")
    options = ["--guide", "guide.png", "--mask", "mask.png", "--channel", "0-3", "--color", "luma"]
    run("photo.png", *QUICK, *options, "--seed", "3", "--neuron", "0.5,0.5", "-o", "one.png")
    again = ["rerun", "one.png", "-o", "two.png", "--device", "cpu"]
    assert CliRunner().invoke(cli, again, catch_exceptions=False).exit_code == 0
    assert np.array_equal(pixels("one.png"), pixels("two.png"))
    record = json.loads(Image.open("two.png").info["cnnart"])
    assert record["command"] == "dream"
    assert record["guide"]["name"] == "guide.png"
    assert record["settings"]["channels"] == [0, 1, 2, 3]
    assert record["settings"]["layers"] == {"relu2_1": 1.0}


def test_rerun_names_a_guide_that_is_gone() -> None:
    run("photo.png", *QUICK, "--guide", "guide.png", "-o", "one.png")
    Path("guide.png").unlink()
    result = CliRunner().invoke(cli, ["rerun", "one.png"])
    assert "'guide.png', which this picture was made from, is not there" in str(result.exception)


def test_alpha_is_kept_and_can_be_the_mask() -> None:
    run("alpha.png", *QUICK, "--mask", "alpha", "--feather", "0", "-o", "out.png")
    assert Image.open("out.png").mode == "RGBA"
    result = CliRunner().invoke(cli, ["dream", "photo.png", *QUICK, "--mask", "alpha"])
    assert "no transparency in it for --mask alpha" in as_flags(str(result.exception))
    assert getattr(result.exception, "exit_code", None) == 1


def test_a_batch_goes_on_past_a_bad_file() -> None:
    Path("bad.jpg").write_text("no picture")
    arguments = ["dream", "bad.jpg", "photo.png", *QUICK, "-o", "out/"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 3
    assert [path.name for path in Path("out").iterdir()] == ["photo-relu2_1.png"]


def test_json_tells_preset_and_layers() -> None:
    lines = run("photo.png", *QUICK, "--json", "-o", "out.png").splitlines()
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["start", "step", "step", "saved", "done"]
    start, first, second = events[:3]
    assert (start["command"], start["layers"], start["size"]) == ("dream", {"relu2_1": 1}, [40, 30])
    assert second["losses"]["relu2_1"] > first["losses"]["relu2_1"] > 0


def test_from_noise_needs_no_photo() -> None:
    quick = ["--from", "noise", "--size", "32", "--steps", "2"]
    assert run(*quick, "--layer", "relu2_1", "--channel", "3").split() == ["noise-relu2_1-3.png"]
    assert Image.open("noise-relu2_1-3.png").size == (32, 32)
    run(*quick, "--layer", "relu2_1", "--channel", "4", "-o", "other.png")
    assert not np.array_equal(pixels("noise-relu2_1-3.png"), pixels("other.png"))


def test_a_sheet_needs_no_photo() -> None:
    out = run("--sheet", "relu2_1", "--channels", "0-2", "--size", "32", "--steps", "2")
    assert out.split() == ["relu2_1-sheet.png"]
    assert min(Image.open("relu2_1-sheet.png").size) >= 32


def test_the_presets_are_listed() -> None:
    out = run("--list-presets")
    assert [line.split()[0] for line in out.splitlines()] == list(DREAMS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "No PHOTO given; without one there are --from noise and --sheet LAYER."),
        (["photo.png", "--preset", "eyez"], "No dream preset 'eyez'. Did you mean eyes?"),
        (["photo.png", "--layer", "relu4_9"], "vgg19 has no layer 'relu4_9'. Did you mean relu4_"),
        (["photo.png", "--layer", "relu4_3:x"], "The weight 'x' of 'relu4_3' is not a number."),
        (["photo.png", "--layer", ","], "A layer's name is missing"),
        (["photo.png", "--layer", "relu4_3:0"], "No layer has a weight"),
        (["photo.png", "--channel", "5-2"], "runs backwards"),
        (["photo.png", "--neuron", "5"], "'5' is no place: write X,Y from 0,0 (top left)"),
        (["photo.png", "--neuron", "2,0.5"], "A neuron's place is x,y from 0,0"),
        (["photo.png", "--guide", "gone.png"], "No such guide picture: 'gone.png' (there is no"),
        (["photo.png", "--mask", "gone.png"], "No such mask: 'gone.png'"),
        (["photo.png", "--guide", "guide.png", "-o", "guide.png"], "guide.png"),
        (["gone.png"], "No such file or folder: 'gone.png'."),
        (["photo.png", "--zoom", "1.1"], "--zoom is for flights: also say --frames N."),
        (["photo.png", "--from", "noise"], "start from nothing: no PHOTO, no --frames."),
        (["--sheet", "relu3_3", "--strength", "0.5"], "--strength means nothing with --sheet."),
        (["photo.png", "--strength", "2"], "2.0 is not in the range 0<=x<=1"),
        (
            ["photo.png", "--backbone", "resnet50"],
            "Presets are layers of vgg19: with --backbone resnet50 name a --layer",
        ),
    ],
)
def test_wrong_usage_is_told_before_the_network_is_loaded(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: pytest.fail("the network was loaded"))
    assert sentence in refused(*arguments)


def test_help_and_presets_come_without_torch() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from cnnart.cli import cli\n"
        "for option in ('--help', '--list-presets'):\n"
        "    assert CliRunner().invoke(cli, ['dream', option]).exit_code == 0\n"
        "print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"
    )
    out, err = cnnart_process(code=code).communicate()
    assert out.decode().strip() == "[]", err.decode()


def test_the_python_api() -> None:
    seen = []
    quick = {"layers": {"relu2_1": 1.0}, "size": 40, "octaves": 1, "device": "cpu"}
    image = cnnart.dream("photo.png", steps=3, callback=lambda s: seen.append(s.index), **quick)
    assert (image.size, image.mode, seen) == ((40, 30), "RGB", [1, 2, 3])
    assert cnnart.dream("alpha.png", steps=1, **quick).mode == "RGBA"
    stopped = cnnart.dream("photo.png", steps=3, callback=lambda step: False, **quick)
    assert not np.array_equal(np.asarray(stopped), np.asarray(image))
    with pytest.raises(cnnart.CnnartError, match=r"Unknown setting 'stepz'\. Did you mean steps\?"):
        cnnart.dream("photo.png", stepz=3)


@pytest.mark.parametrize(
    "made",
    [
        "--from noise --layer relu1_2 --channel 3 --size 32 --steps 2",
        "--sheet relu1_2 --channels 1,4 --size 32 --steps 2",
    ],
)
def test_what_was_made_from_nothing_can_be_made_again(made: str) -> None:
    run(*made.split(), "-o", "first.png")
    command = ["rerun", "first.png", "-o", "again.png", "--device", "cpu"]
    assert CliRunner().invoke(cli, command, catch_exceptions=False).exit_code == 0
    first, again = (np.asarray(Image.open(name)) for name in ("first.png", "again.png"))
    assert np.array_equal(first, again)
