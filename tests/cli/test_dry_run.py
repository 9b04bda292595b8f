"""``--dry-run``: says what would be made, refuses what would be refused, writes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnnart import runtime
from cnnart.__main__ import main
from cnnart.commands import fast_stylize
from cnnart.methods.fast.checkpoint import save_checkpoint
from cnnart.optim import multiscale
from cnnart.run import predict
from cnnart.run.journal import Journal
from cnnart.weights.vgg import load_vgg
from tests.helpers.fast import arbitrary_checkpoint
from tests.helpers.files import save_picture
from tests.helpers.tiny_vgg import tiny_weights

ON = ("--device", "cpu", "--precision", "fp32")


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CNNART_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(runtime, "load_vgg", lambda *_, **__: tiny_weights())
    monkeypatch.setattr(multiscale, "COARSEST", 16)
    save_picture("photo.png", 40, 32)
    save_picture("art.png", 40, 40, seed=1)
    network = tmp_path / "any.safetensors"
    save_checkpoint(network, arbitrary_checkpoint("candy", channels=12), "fp32")
    monkeypatch.setattr(fast_stylize, "arbitrary_network", lambda: network)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that lies in a folder: when it was changed, and its bytes."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


def dry(line: str, folder: Path, *more: str, code: int = 0) -> None:
    """Run a line dry; nothing in the folder may change."""
    before = contents(folder)
    assert main([*line.split(), "--dry-run", *more]) == code
    assert contents(folder) == before


def plans(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What a dry run tells a program of each picture."""
    capsys.readouterr()
    dry(line, folder, "--json")
    told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert told[-1]["event"] == "done"
    assert told[-1]["saved"] == 0
    return [event for event in told if event["event"] == "plan"]


@pytest.mark.parametrize(
    ("line", "output", "size", "is_predicted"),
    [
        ("stylize photo.png -s art.png --steps 2 --preset draft", "photo-art.png", [40, 32], True),
        ("dream photo.png -l relu1_1 --steps 1 --size 50", "photo-relu1_1.png", [50, 40], True),
        ("texture art.png --method gram --preset draft", "art-texture.png", [80, 80], True),
        ("texture art.png --method quilting --patch 12", "art-texture.png", [80, 80], False),
        ("fast-stylize photo.png -s great-wave", "photo-great-wave.png", [40, 32], True),
        ("fast-stylize photo.png -s art.png", "photo-art.png", [40, 32], True),
        ("dream --from noise -l relu1_1 --size 32", "noise-relu1_1.png", [32, 32], False),
        ("dream --sheet relu1_1 --channels 0-1 --size 32", "relu1_1-sheet.png", [32, 32], False),
        (
            "dream photo.png -l relu1_1 --frames 2 --steps 1",
            "photo-relu1_1.webp",
            [40, 32],
            False,
        ),
    ],
)
def test_every_command(
    line: str,
    output: str,
    size: list[int],
    is_predicted: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = f"{line} --device cpu --precision fp32"
    (plan,) = plans(given, tmp_path, capsys)
    assert (plan["output"], plan["size"]) == (output, size)
    assert (plan["device"], plan["precision"]) == ("cpu", "fp32")
    assert plan["replaces"] is False
    assert plan["memory"] >= 0
    assert (plan["seconds"] is not None) == is_predicted
    assert plan["command"] == line.split()[0]
    if " -s art.png" in line:
        assert "art.png" in plan["reads"]


def test_for_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "predict", lambda *_: predict.Prediction([(1.0, 50)], 50.0))
    save_picture("other.png", 32, 40)
    save_picture("out/photo-art.png")
    line = "stylize photo.png other.png -s art.png -o out/ --seed 3"
    dry(line, tmp_path, *ON)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == (
        "[1/2] photo.png -> out/photo-art.png (which is there, and would be replaced)"
    )
    assert lines[1] == "  reads art.png"
    assert lines[2] == "  40 x 32 px, style art, seed 3"
    assert lines[3].startswith("  on ")
    assert lines[3].endswith(", fp32")
    assert lines[4].endswith(" of memory at the most, and 50 s")
    assert lines[5] == "[2/2] other.png -> out/other-art.png"
    assert err == "cnnart: 2 pictures, about 2 min; a dry run writes nothing.\n"


def test_quietly_and_for_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "fast-stylize photo.png -s great-wave"
    dry(line, tmp_path, "-q")
    assert capsys.readouterr() == ("", "")
    dry(line, tmp_path, "-o", "-")
    out, err = capsys.readouterr()
    assert out == ""
    assert "photo.png -> -" in err
    assert " of memory at the most, and 1 s\n" in err
    dry("texture art.png --method quilting --patch 12", tmp_path, *ON)
    assert "and a time that is not known before" in capsys.readouterr().out


def test_a_time_budget_is_taken_at_its_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "stylize photo.png -s art.png --time-budget 90s --device cpu"
    assert plans(line, tmp_path, capsys)[0]["seconds"] == 90


def test_pictures_alike_are_measured_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[object] = []
    monkeypatch.setattr(predict, "predict", lambda work, _: measured.append(work))
    save_picture("other.png", 40, 32, seed=3)
    line = "stylize photo.png other.png -s art.png --each-style -s ink-wash -o out/ --device cpu"
    assert len(plans(line, tmp_path, capsys)) == 4
    assert len(measured) == 1


def test_what_is_skipped_and_what_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").write_text("no picture")
    dry("stylize photo.png bad.png -s art.png -o out/", tmp_path, *ON, code=3)
    assert "bad.png" in capsys.readouterr().err
    dry("stylize bad.png -s art.png", tmp_path, *ON, code=1)
    save_picture("out/photo-art.png")
    capsys.readouterr()
    assert plans("stylize photo.png -s art.png -o out/ --skip-existing", tmp_path, capsys) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stylize photo.png -s nothing-like-it", "No style 'nothing-like-it'"),
        ("stylize photo.png -s art.png -o photo.png", "would overwrite the input"),
        ("stylize photo.png -s art.png --size 20x16 --style-layers pool5", "too small"),
        ("dream photo.png -l relu1_1 --channel 99", "there is no 99"),
        ("stylize photo.png -s art.png --save-preset mine", "--dry-run writes nothing, no preset"),
        ("dream photo.png --save-preset mine --seed 1", "leave --save-preset out"),
    ],
)
def test_the_same_refusals(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dry(line, tmp_path, *ON, code=2)
    assert message in capsys.readouterr().err


def test_an_unfinished_run_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_picture("other.png", 40, 32, seed=3)
    line = "fast-stylize photo.png other.png -s great-wave -o out/"
    Path("other.png").write_text("no picture")
    monkeypatch.setattr("cnnart.run.journal.FIRST", 0.0)
    assert main(line.split()) == 3
    (journal,) = Path("out").glob(".cnnart-*.journal")
    kept = json.loads(journal.read_bytes())
    journal.write_text(json.dumps(kept | {"ended": False}))
    save_picture("other.png", 40, 32, seed=3)
    capsys.readouterr()
    assert [plan["input"] for plan in plans(line, tmp_path, capsys)] == ["other.png"]
    dry(f"{line} --strength 0.9", tmp_path, code=2)
    assert "An unfinished run with other settings" in capsys.readouterr().err
    assert len(plans(f"{line} --strength 0.9 --fresh", tmp_path, capsys)) == 2


def test_another_run_at_work_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cnnart.run.inputs import Source
    from cnnart.run.outputs import Task

    task = Task(Source(Path("photo.png"), "photo.png"), Path("out.png"), "png")
    with Journal([task]):
        dry("fast-stylize photo.png -s great-wave -o out.png", tmp_path, code=1)
        assert "Another run of cnnart is at work" in capsys.readouterr().err


def test_parts_of_other_settings_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "dream --sheet relu1_1 --channels 0-1 --size 32 --steps 2 -o sheet.png"
    folder = Path("sheet.cells")
    save_picture(folder / "0000.png", 32, 32)
    (folder / "settings.json").write_text("{}")
    assert len(plans(f"{line} --device cpu", tmp_path, capsys)) == 1
    assert (folder / "0000.png").exists()


def test_nothing_is_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dry("stylize photo.png -s art.png --backbone vgg16", tmp_path, *ON, code=1)
    said = capsys.readouterr().err
    assert "vgg16 would have to be fetched, and --dry-run fetches nothing" in said
    assert "run `cnnart weights fetch vgg16` before" in said
    dry("stylize photo.png -s art.png --backbone vgg61", tmp_path, *ON, code=2)
    assert "Unknown backbone 'vgg61'" in capsys.readouterr().err


def test_no_style_is_refined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "load_vgg", load_vgg)
    save_checkpoint(tmp_path / "any.safetensors", arbitrary_checkpoint("candy"), "fp32")
    save_picture("large.png", 80, 72)
    line = "fast-stylize large.png -s art.png --refine 60s --save-style art.safetensors"
    dry(line, tmp_path, "--device", "cpu")
    out, err = capsys.readouterr()
    assert "art.safetensors would be trained first, for 1:00." in err
    assert "large.png -> large-art.png" in out
    dry("fast-stylize photo.png -s great-wave --refine 60s", tmp_path, code=2)
    assert "--refine is for one style that is a picture" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("stylize photo.png -s art.png --steps 1 --preset draft", "made.png"),
        ("dream photo.png -l relu1_1 --frames 2 --steps 1", "made.webp"),
    ],
)
def test_a_rerun(
    line: str, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*line.split(), *ON, "-o", output]) == 0
    (plan,) = plans(f"rerun {output} --device cpu", tmp_path, capsys)
    suffix = Path(output).suffix
    assert (plan["output"], plan["size"]) == (f"made-rerun{suffix}", [40, 32])
    Path("photo.png").unlink()
    dry(f"rerun {output}", tmp_path, "--device", "cpu", code=1)
    assert "photo.png" in capsys.readouterr().err
