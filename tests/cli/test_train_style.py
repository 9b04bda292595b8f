"""``cnnart train-style`` from the command line, on a VGG of a handful of channels."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image

from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.commands import training_run
from cnnart.image.write import write_image
from cnnart.methods.fast.checkpoint import load_checkpoint
from cnnart.run.lock import Lock
from cnnart.run.report import JsonLines, Plain
from tests.helpers.fast import TINY, photo_folder
from tests.helpers.pictures import make_painting
from tests.helpers.tiny_vgg import tiny_weights

QUICK = (
    *("--photos", "photos", "--arch", TINY, "--size", "64", "--batch", "2", "--style-size", "64"),
    *("--precision", "fp32", "--device", "cpu", "--workers", "0"),
)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: tiny_weights())
    photo_folder(tmp_path / "photos")
    write_image("amber tiles.png", make_painting())


def train(*arguments: str, output: str = "my.safetensors", steps: int = 12) -> int:
    return main(["train-style", *QUICK, "--steps", str(steps), "-o", output, *arguments])


def test_a_run_leaves_a_checkpoint_and_its_course(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("amber tiles.png", "gold=amber tiles.png", "--validate-every", "6")
    assert train(*arguments, "--save-every", "6", "--licence", "CC0") == 0
    told = capsys.readouterr()
    assert told.out.strip() == "my.safetensors"
    assert "broken.jpg: skipped, this is a text file, not a picture." in told.err
    assert "small.png: skipped, too small (20 pixels, 64 needed)" in told.err
    made = load_checkpoint(Path("my.safetensors"))
    assert made.bank.names == ("amber-tiles", "gold")
    assert made.styles[0].license == "CC0"
    assert made.training["steps"] == 12
    lines = [json.loads(line) for line in Path("my.log.jsonl").read_text().splitlines()]
    assert [Path(name).name for name, _ in lines[0]["skipped"]] == ["broken.jpg", "small.png"]
    assert [line["step"] for line in lines if "losses" in line] == [10]
    assert [line["validation"]["step"] for line in lines if "validation" in line] == [4, 8, 12]
    for picture in ("my.loss.png", "my.preview.jpg", "my-step00006.png"):
        assert Image.open(picture).size[0] > 100
    assert not Path("my.training.pt").exists()


def test_of_two_trainings_of_one_network_the_second_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lock(Path("my.safetensors")):
        for more in ((), ("--overwrite",)):
            assert train("amber tiles.png", *more) == 1
            assert "Another run of cnnart is at work on 'my.safetensors'" in capsys.readouterr().err
        assert train("amber tiles.png", output="other.safetensors", steps=1) == 0
    assert not Path("my.safetensors").exists()
    assert not [*Path().glob(".cnnart-*")]


def test_ctrl_c_saves_and_resume_ends_as_if_nothing_had_happened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("amber tiles.png", output="whole.safetensors") == 0
    original = Plain.step if hasattr(Plain, "step") else None

    def interrupt(self: Plain, step) -> None:  # type: ignore[no-untyped-def]
        if step.index == 5:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Plain, "step", interrupt, raising=False)
    assert train("amber tiles.png") == 130
    assert "stopped after step 5: --resume continues" in capsys.readouterr().err
    assert Path("my.training.pt").exists()
    assert Path("my.safetensors").exists()
    monkeypatch.setattr(Plain, "step", original, raising=False)
    assert train("amber tiles.png") == 2
    assert "holds a run that was not finished" in capsys.readouterr().err
    assert train("amber tiles.png", "--resume", "--batch", "1") == 2
    assert "the saved run had batch 2, now 1" in capsys.readouterr().err
    assert train("amber tiles.png", "--resume") == 0
    assert "Going on after step 5." in capsys.readouterr().err
    whole, resumed = (load_checkpoint(Path(f"{n}.safetensors")) for n in ("whole", "my"))
    state = whole.network.state_dict()
    assert all((v == state[k]).all() for k, v in resumed.network.state_dict().items())


def test_batch_auto_is_settled_told_and_continued(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(self: JsonLines, step) -> None:  # type: ignore[no-untyped-def]
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(JsonLines, "step", interrupt)
        assert train("amber tiles.png", "--batch", "auto", "--json", steps=3) == 130
    start = json.loads(capsys.readouterr().out.splitlines()[0])
    assert start["batch"] == training_run.CPU_BATCH
    monkeypatch.setattr(training_run, "CPU_BATCH", 1)  # as if another machine went on
    assert train("amber tiles.png", "--batch", "auto", "--resume", steps=3) == 0
    made = load_checkpoint(Path("my.safetensors"))
    assert made.training["settings"]["batch"] == start["batch"]
    assert train("amber tiles.png", "--batch", "many", "--overwrite") == 2
    assert train("amber tiles.png", "--batch", "0", "--overwrite") == 2


def test_a_run_of_another_version_is_not_continued(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"settings": {"batch": 2}, "run": {}}, "my.training.pt")
    assert train("amber tiles.png", "--resume") == 1
    assert "saved by another version of cnnart" in capsys.readouterr().err


def test_a_style_is_added_to_a_checkpoint() -> None:
    assert train("amber tiles.png", "--license", "CC0", steps=2) == 0
    assert train("new=amber tiles.png", "--into", "my.safetensors", output="more.safetensors") == 0
    made = load_checkpoint(Path("more.safetensors"))
    assert made.bank.names == ("amber-tiles", "new")
    assert [style.license for style in made.styles] == ["CC0", "not stated"]


def test_json_tells_losses_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("amber tiles.png", "--json", "--no-preview", steps=3) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    steps = [e for e in events if e["event"] == "step"]
    assert [e["step"] for e in steps] == [1, 2, 3]
    assert {"content", "style", "palette"} <= set(steps[0]["losses"])
    assert steps[-1]["seconds_left"] == 0
    assert events[0]["photos"] == 4
    assert not Path("my.preview.jpg").exists()


def test_a_run_that_goes_bad_keeps_the_best_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cnnart.methods.fast.train.validation import Validator

    original = Validator.judge

    def bad(self: Validator):  # type: ignore[no-untyped-def]
        loss, found = original(self)
        return loss, {name: {**one, "dots": 0.09} for name, one in found.items()}

    monkeypatch.setattr(Validator, "judge", bad)
    assert train("amber tiles.png", "--validate-every", "2") == 1
    told = capsys.readouterr().err
    assert "Training goes bad: 3 validations in a row show dots (9.0% of the pixels)" in told
    assert "my.safetensors holds the best so far" in told
    assert Path("my.safetensors").exists()
    assert train("amber tiles.png", "--validate-every", "2", "--keep-going", "--overwrite") == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.png"], "No style 'none.png'"),
        (["a b=amber tiles.png"], "'a b' cannot be a style's name"),
        (["amber tiles.png", "--photos", "nowhere"], "No such file or folder: 'nowhere'"),
        (["amber tiles.png", "-o", "x.pth"], "must end in .safetensors, which is what is written"),
        (["amber tiles.png", "--into", "x.safetensors"], "--into 'x.safetensors': there is no"),
        (
            ["amber tiles.png", "--into", "amber tiles.png", "--arbitrary", "photos"],
            "--arbitrary styles are learnt with the network, not --into one.",
        ),
        (
            ["amber tiles.png", "--into", "amber tiles.png", "--start-from", "amber tiles.png"],
            "--into leaves a network as it is, --start-from trains it on: give one of them.",
        ),
        (["amber tiles.png", "--arch", "smal"], "Unknown architecture 'smal'"),
        (["amber tiles.png", "--size", "100"], "use a multiple of 16"),
        (["amber tiles.png", "--style-layers", "relu9_1"], "no layer 'relu9_1'"),
        (["amber tiles.png", "amber tiles.png"], "Two paintings have the same name"),
        (["amber tiles.png", "--photos", "photos/small.png"], "No photo of 1 can be trained on"),
        (["amber tiles.png", "-q", "--json"], "--quiet and --json contradict"),
        (["amber tiles.png", "--content-layers", "relu4_1:0"], "must be above zero"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*arguments) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert sentence in told[-1]
    assert not Path("my.safetensors").exists()


def test_memory_that_holds_not_even_one_photo(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("amber tiles.png", "--max-memory", "1MB") == 1
    told = capsys.readouterr().err
    assert "Training on single photos of 64 pixels needs more than --max-memory" in told


def test_nothing_is_resumed_or_overwritten_by_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("amber tiles.png", "--resume") == 1
    assert "no saved run to --resume" in capsys.readouterr().err
    Path("my.training.safetensors").write_text("a run of an older version")
    assert train("amber tiles.png", "--resume") == 1
    assert "this run was saved by an older cnnart" in capsys.readouterr().err
    Path("my.safetensors").write_text("hours of work")
    assert train("amber tiles.png") == 2
    assert "my.safetensors exists: choose another -o, or --overwrite it" in capsys.readouterr().err
    assert Path("my.safetensors").read_text() == "hours of work"
    assert train("amber tiles.png", "--overwrite", steps=2) == 0


def test_a_full_disk_stops_no_training_and_loses_no_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    def full_here(path: Path, data: bytes) -> None:
        full(path) if path == Path("my.safetensors") else path.write_bytes(data)

    spare = tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setattr(training_run, "write_atomically", full)
    monkeypatch.setattr("cnnart.methods.fast.checkpoint.write_atomically", full_here)
    monkeypatch.setattr(training_run.tempfile, "mkdtemp", lambda prefix: str(spare))
    assert train("amber tiles.png", steps=2) == 1
    err = capsys.readouterr().err
    assert err.count("(No space left on device): training goes on") == 1
    assert f"The network is kept in {spare / 'my.safetensors'} instead." in err
    assert load_checkpoint(spare / "my.safetensors").styles
