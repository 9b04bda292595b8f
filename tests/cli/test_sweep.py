"""``cnnart sweep``: all combinations on one sheet, each as the real command makes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.cli import stylize as stylize_options
from cnnart.cli.sweep import Lines
from cnnart.commands import stylize
from cnnart.commands.own_presets import preset_path
from cnnart.commands.sweep import Sweep
from cnnart.errors import UsageError
from cnnart.image.contact_sheet import GAP
from cnnart.methods.stylize.transfer import TargetCache
from cnnart.run.batch import Batch
from cnnart.run.inputs import Source
from cnnart.run.predict import Prediction
from cnnart.run.record import read_record_of
from tests.helpers.files import only_builtin_style, save_picture
from tests.helpers.tiny_vgg import tiny_weights

QUICK = ["--size", "32", "--preset", "draft", "--steps", "2", "--device", "cpu"]
QUICK += ["--precision", "fp32"]
STYLED = ["photo.png", "-s", "mosaic", *QUICK]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: tiny_weights())
    save_picture("photo.png")
    only_builtin_style(monkeypatch, tmp_path / "builtin")


def pixels(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def cell(sheet: np.ndarray, row: int, column: int, height: int = 24, width: int = 32) -> np.ndarray:
    """A picture of a sheet: below a title and above a label of unknown heights, all alike."""
    lines = np.flatnonzero((sheet != 255).any(axis=(1, 2)))
    x = GAP + column * (width + GAP)
    tops = [
        y
        for y in lines
        if (sheet[y : y + height, x - GAP : x] == 255).all()
        and sheet[y : y + height, x : x + width].std() > 0
        and (sheet[y - 1, x : x + width] == 255).all()
        and (sheet[y : y + height, x : x + width] != 255).any(axis=2).all()
    ]
    return sheet[tops[row] : tops[row] + height, x : x + width]


def test_each_cell_is_the_real_commands_picture(capsys: pytest.CaptureFixture[str]) -> None:
    values = ["--style-scale", "0.5,1,2", "--strength", "0.3,0.9"]
    assert main(["sweep", "stylize", *STYLED, *values, "--keep", "all"]) == 0
    told = capsys.readouterr()
    assert told.out == "photo-mosaic-sweep.png\n"
    assert "6 pictures, the first of 32 x 24 px, style mosaic, on CPU" in told.err
    assert "6/6  style-scale 2, strength 0.9: " in told.err
    assert len(list(Path("all").glob("*.png"))) == 6
    sheet = pixels("photo-mosaic-sweep.png")
    for row, scale in enumerate(["0.5", "1", "2"]):
        for column, strength in enumerate(["0.3", "0.9"]):
            given = ["--strength", strength, "--style-scale", scale]
            assert main(["stylize", *STYLED, *given, "-o", "alone.png"]) == 0
            kept = f"all/photo-mosaic-style-scale-{scale}-strength-{strength}.png"
            assert (pixels(kept) == pixels("alone.png")).all()
            assert (cell(sheet, row, column) == pixels("alone.png")).all()
            settings = read_record_of(Path(kept))["settings"]
            assert settings == read_record_of(Path("alone.png"))["settings"]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("command", ["stylize", "dream"])
def test_several_at_a_time_are_what_the_command_makes_in_one_thread(
    command: str, two_threads: None, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {"stylize": STYLED, "dream": ["photo.png", "--layer", "relu2_1", *QUICK[:2], *QUICK[4:]]}
    given = made[command]
    values = ["--strength", "0.3,0.6,0.9", "--keep", "all"]
    assert main(["sweep", command, *given, *values]) == 0
    told = capsys.readouterr().err
    assert "on CPU, 1 thread, fp32, 2 at a time" in told
    assert "1/3  strength 0.3: done; about " in told
    assert "3/3  strength 0.9: done\n" in told
    torch.set_num_threads(1)
    for strength in ("0.3", "0.6", "0.9"):
        assert main([command, *given, "--strength", strength, "-o", "alone.png"]) == 0
        (kept,) = Path("all").glob(f"*-{strength}.png")
        assert (pixels(kept) == pixels("alone.png")).all()


def test_those_that_are_there_are_not_begun_again(
    two_threads: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, seen = Batch._make, []

    def stopped(self: Batch, task: object, index: int, outcomes: object) -> None:
        seen.append(index)
        if index == 2:
            self._interrupt.asked = True
        make(self, task, index, outcomes)  # type: ignore[arg-type]

    monkeypatch.setattr(Batch, "_make", stopped)
    given = ["sweep", "stylize", *STYLED, "--strength", "0.2,0.4,0.6,0.8", "--keep", "all"]
    assert main(given) == 130
    assert "2/4  strength 0.4: stopped" in capsys.readouterr().err
    monkeypatch.setattr(Batch, "_make", make)
    assert main(given) == 0
    told = capsys.readouterr().err
    assert "4/4  strength 0.8: done" in told
    assert "1/4" not in told
    assert len(list(Path("all").glob("*.png"))) == 4


@pytest.mark.parametrize("more", [["--max-memory", "4GB"], ["--time-budget", "60"]])
def test_with_a_limit_they_are_made_one_after_the_other(
    more: list[str], two_threads: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "stylize", *STYLED, "--strength", "0.2,0.4", *more]) == 0
    assert "at a time" not in capsys.readouterr().err


def test_what_all_have_in_common_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    count = {"photo": 0, "style": 0, "targets": 0, "network": 0}

    def counted(name: str, owner: object, attribute: str) -> None:
        real = getattr(owner, attribute)

        def call(*args: object, **more: object) -> object:
            count[name] += 1
            return real(*args, **more)

        monkeypatch.setattr(owner, attribute, call)

    counted("photo", Source, "_read")
    counted("style", stylize, "read_input")
    counted("network", engine, "load_vgg")
    get = TargetCache.get

    def counting(self: TargetCache, style: object, how: object, find: object) -> object:
        def found() -> object:
            count["targets"] += 1
            return find()  # type: ignore[operator]

        return get(self, style, how, found)  # type: ignore[arg-type]

    monkeypatch.setattr(TargetCache, "get", counting)
    assert main(["sweep", "stylize", *STYLED, "--strength", "0.2,0.5,0.8"]) == 0
    assert count == {"photo": 1, "style": 1, "targets": 1, "network": 1}
    assert sorted(path.name for path in Path().iterdir()) == [
        "builtin",
        "photo-mosaic-sweep.png",
        "photo.png",
    ]


def test_a_cell_that_fails_is_named_and_the_others_are_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["photo.png", "-s", "mosaic", *QUICK[2:], "--size", "32,40,16"]
    assert main(["sweep", "stylize", *given, "-o", "sheet.png"]) == 3
    told = capsys.readouterr()
    assert told.out == "sheet.png\n"
    assert "size 16  16x12 is too small" in told.err
    assert "1 failed, 2 saved, 0 skipped" in told.err
    sheet = pixels("sheet.png")
    assert sheet.shape[1] == GAP + 3 * (40 + GAP)  # as wide as the largest


def test_what_cannot_be_made_at_all_is_told_with_the_rest(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd_only(strength: float, **given: Any) -> Any:
        if strength == 0.5:
            raise UsageError("`strength` does not go with this.")
        return command_of(strength=strength, **given)

    command_of = stylize_options.command_of
    monkeypatch.setattr(stylize_options, "command_of", odd_only)
    assert main(["sweep", "stylize", *STYLED, "--strength", "0.5,0.7", "-o", "s.png"]) == 3
    assert "strength 0.5  --strength does not go with this." in capsys.readouterr().err
    monkeypatch.setattr(stylize_options, "command_of", lambda **given: odd_only(0.5))
    assert main(["sweep", "stylize", *STYLED, "--strength", "0.5,0.7"]) == 2
    told = capsys.readouterr().err
    assert told == "cnnart: error: --strength does not go with this.\n"


def test_a_dry_run_tells_of_each_picture_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    given = [*STYLED, "--strength", "0.3,0.9", "--dry-run", "-o", "sheet.png"]
    assert main(["sweep", "stylize", *given]) == 0
    told = capsys.readouterr()
    assert told.out.count("photo.png -> sheet.png") == 2
    assert "32 x 24 px, style mosaic, strength 0.3, seed 0" in told.out
    assert "style mosaic, strength 0.9" in told.out
    assert "cnnart: 2 pictures, about " in told.err
    assert main(["sweep", "stylize", *given, "--json", "--keep", "all"]) == 0
    *plans, done = map(json.loads, capsys.readouterr().out.splitlines())
    assert [plan["event"] for plan in plans] == ["plan", "plan"]
    assert [plan["sweep"] for plan in plans] == [{"strength": "0.3"}, {"strength": "0.9"}]
    assert all(plan["output"].startswith("all") for plan in plans)
    assert done["event"] == "done"
    assert sorted(tmp_path.rglob("*")) == before


def test_presets_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CNNART_CONFIG", str(tmp_path / "config"))
    preset_path("mine").parent.mkdir(parents=True)
    text = 'command = "stylize"\n[options]\nstyle = ["mosaic"]\nstrength = 0.9\nseed = 7\n'
    preset_path("mine").write_text(text)
    settings = {"--preset": "mine", "--size": "32", "--steps": "1", "--device": "cpu"}
    given = ["photo.png", *(word for pair in settings.items() for word in pair)]
    assert main(["sweep", "stylize", *given, "--strength", "0.1,0.2", "--keep", "all"]) == 0
    records = [read_record_of(path)["settings"] for path in sorted(Path("all").iterdir())]
    assert [(record["strength"], record["seed"]) for record in records] == [(0.1, 7), (0.2, 7)]
    capsys.readouterr()
    assert main(["sweep", "stylize", "photo.png", "-s", "mosaic", "--preset", "draft,mine"]) == 2
    assert "several presets must be ones that come with cnnart" in capsys.readouterr().err


def test_methods_of_a_texture(capsys: pytest.CaptureFixture[str]) -> None:
    save_picture("moss.png", 24, 24)
    given = ["moss.png", "--tileable", "x,none", "--patch", "9", "--size", "32"]
    assert main(["sweep", "texture", *given, "--method", "quilting", "-o", "s.png"]) == 0
    assert "2/2  tileable none: " in capsys.readouterr().err
    mixed = ["moss.png:2", "photo.png", "--mix", "--inpaint", "photo.png", "--size", "32,48"]
    assert main(["sweep", "texture", *mixed]) == 2
    assert "--inpaint keeps the picture's size" in capsys.readouterr().err
    assert main(["sweep", "texture", "moss.png:2", "--seed", "1,2"]) == 2
    assert "add --mix" in capsys.readouterr().err


def test_all_that_fail_are_an_error_without_a_sheet(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["photo.png", "-s", "mosaic", *QUICK[2:], "--size", "16,17"]
    assert main(["sweep", "stylize", *given]) == 1
    assert "2 failed" in capsys.readouterr().err
    assert not Path("photo-mosaic-sweep.png").exists()


@pytest.mark.parametrize("kept", [False, True])
def test_ctrl_c_keeps_the_sheet_so_far(
    kept: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, stop = Batch._make, []
    monkeypatch.setattr(Sweep, "fills_lanes", False)  # in a lane, the second may be done already

    def stopped(self: Batch, task: object, index: int, outcomes: object) -> None:
        stop.append(index)
        if index == 2:
            self._interrupt.asked = True  # at the second picture's first step
        make(self, task, index, outcomes)  # type: ignore[arg-type]

    monkeypatch.setattr(Batch, "_make", stopped)
    more = ["--keep", "all"] if kept else []
    given = ["sweep", "stylize", *STYLED, "--strength", "0.2,0.5,0.8", "-o", "sheet.png", *more]
    assert main(given) == 130
    told = capsys.readouterr()
    assert told.out == "sheet.png\n"
    assert "2/3  strength 0.5: stopped" in told.err
    assert stop == [1, 2]
    assert not (cell(pixels("sheet.png"), 0, 1) == 255).all()
    if kept:
        monkeypatch.setattr(Batch, "_make", make)
        assert main(given) == 0
        assert "going on from step 1" in capsys.readouterr().err
        assert not list(Path("all").glob(".cnnart*"))


def test_quitting_at_once_keeps_what_was_finished(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make = Batch._make

    def quit(self: Batch, task: object, index: int, outcomes: object) -> None:
        if index == 3:
            raise KeyboardInterrupt
        make(self, task, index, outcomes)  # type: ignore[arg-type]

    monkeypatch.setattr(Batch, "_make", quit)
    assert main(["sweep", "stylize", *STYLED, "--strength", "0.2,0.5,0.8", "-o", "s.png"]) == 130
    assert capsys.readouterr().out == "s.png\n"
    assert Path("s.png").is_file()


def test_variations_are_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    given = [*STYLED, "--init", "noise", "--seed", "5", "--variations", "7", "--keep", "all"]
    assert main(["sweep", "stylize", *given]) == 0
    names = [f"photo-mosaic-seed-{seed}.png" for seed in range(5, 12)]
    assert sorted(path.name for path in Path("all").iterdir()) == sorted(names)
    pictures = [pixels(f"all/{name}") for name in names]
    assert not (pictures[0] == pictures[1]).all()
    sheet = pixels("photo-mosaic-sweep.png")
    assert sheet.shape[1] == GAP + 3 * (32 + GAP)  # about as many rows as columns


def test_json_tells_each_pictures_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "stylize", *STYLED, "--strength", "0.2,0.5", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    starts = [event for event in events if event["event"] == "start"]
    assert [event["sweep"] for event in starts] == [{"strength": "0.2"}, {"strength": "0.5"}]
    saved = [(e["path"], e["kind"]) for e in events if e["event"] == "saved"]
    assert saved == [(None, "result")] * 2 + [("photo-mosaic-sweep.png", "sheet")]
    assert events[-1]["event"] == "done"


def test_a_photo_by_itself_is_to_be_stylized(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", *STYLED, "--strength", "0.2,0.5"]) == 0
    assert capsys.readouterr().out == "photo-mosaic-sweep.png\n"
    assert main(["sweep", "dreem", "photo.png"]) == 2
    assert "No command 'dreem'. Did you mean dream?" in capsys.readouterr().err
    assert main(["sweep", "phot.png", "-s", "mosaic", "--strength", "0.2,0.5"]) == 2
    assert "No such file or folder: 'phot.png'" in capsys.readouterr().err
    Path("photo.png").rename("portrait")
    assert main(["sweep", "portrait", "-s", "mosaic"]) == 2
    assert "Nothing to sweep" in capsys.readouterr().err


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "stylize", *STYLED, "--strength", "0.2,0.5", "-q"]) == 0
    told = capsys.readouterr()
    assert told.out == told.err == ""
    assert Path("photo-mosaic-sweep.png").is_file()


def test_strengths_of_a_dream(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["photo.png", "--layer", "relu2_1", "--strength", "0.2,0.8", "--octaves", "1,2"]
    given += ["--steps", "1", "--size", "32", "--device", "cpu"]
    assert main(["sweep", "dream", *given]) == 0
    assert capsys.readouterr().out == "photo-relu2_1-sweep.png\n"


def test_strokes_of_a_fast_style(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["photo.png", "-s", "great-wave", "--stroke", "1,2", "--color", "style,keep"]
    assert main(["sweep", "fast-stylize", *given, "--size", "48", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "photo-great-wave-sweep.png\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Nothing to sweep: give a setting several values"),
        (["--strength", "0.2"], "Nothing to sweep"),
        (["--strength", "0.2,0.20, 0.2"], "Nothing to sweep"),
        (["--variations", "0"], "0 is not in the range x>=2"),
        (["--strength", "0.2,7"], "7.0 is not in the range"),
        (["--strength", "0.2,nan"], "'nan' is not in the range 0<=x<=1."),
        (["--strength", "0.2,,0.5"], "'0.2,,0.5' lacks a value beside a comma."),
        (["--preset", "draft,slow"], "No stylize preset 'slow'. There is draft"),
        (["--quality", "80,90"], "'80,90' is not a valid integer"),
        (["--seed", "1,2", "--variations", "2"], "counts on from one --seed"),
        (["--seed", str(2**63 - 2), "--variations", "3"], "Seeds end at"),
        (["--variations", "101"], "101 pictures are many: give fewer values, or say --yes"),
        (["--strength", "0.1,0.2", "-o", "photo.png"], "would overwrite the input 'photo.png'"),
        (["--strength", "0.1,0.2", "--keep", "photo.png"], "--keep 'photo.png' is a file"),
        (["--strength", "0.1,0.2", "-q", "--json"], "contradict each other"),
        (["--strength", "0.1,0.2", "other.png"], "A sweep is of one picture, and these are 2."),
        (["--strength", "0.1,0.2", "--frames", "3"], "No such option"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: pytest.fail("the network was loaded"))
    save_picture("other.png")
    assert main(["sweep", "stylize", "photo.png", "-s", "mosaic", *arguments]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert len(told.splitlines()) == 1


def test_fast_styles_have_no_variations(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["photo.png", "-s", "great-wave", "--variations", "3"]
    assert main(["sweep", "fast-stylize", *given]) == 2
    assert "fast-stylize has no seed: there are no variations of it." in capsys.readouterr().err


def test_more_than_a_hundred_with_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks: list[object] = []
    monkeypatch.setattr(Batch, "run", lambda self, given: tasks.extend(given) or 0)
    given = [*STYLED, "--variations", "101", "--yes"]
    assert main(["sweep", "stylize", *given]) == 0
    assert len(tasks) == 101


def test_a_photo_that_cannot_be_read_is_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").write_text("no picture")
    assert main(["sweep", "stylize", "bad.png", "-s", "mosaic", "--strength", "0.2,0.5"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_old_picture_in_the_folder_is_not_taken_for_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_picture("all/photo-mosaic-strength-0.8.png", 32, 24, seed=3)

    def interrupted(self: Batch, task: object, index: int, outcomes: object) -> None:
        if index == 2:
            raise KeyboardInterrupt
        make(self, task, index, outcomes)  # type: ignore[arg-type]

    make = Batch._make
    monkeypatch.setattr(Batch, "_make", interrupted)
    given = [*STYLED, "--strength", "0.2,0.8", "--keep", "all", "-o", "s.png"]
    assert main(["sweep", "stylize", *given]) == 130
    sheet = pixels("s.png")
    assert (sheet[40:44, GAP + 32 + GAP : -GAP] == 255).all()


def test_the_time_is_said_before_it_starts(capsys: pytest.CaptureFixture[str]) -> None:
    def told(**options: Any) -> str:
        lines = Lines(["strength 0.2", "strength 0.5", "strength 0.8"], **options)
        lines.predicted(Prediction([(1.0, 30)], 30.0))
        lines.saved(None, "result", 40.0)
        lines.warning("once")
        lines.warning("once")
        return capsys.readouterr().err

    assert "takes about 2 min: 30 s for each picture" in told(even=True)
    text = told(even=False, at_a_time=lambda: 2)
    assert "done; about 40 s left" in text
    assert "takes about" not in text
    assert text.count("once") == 1
