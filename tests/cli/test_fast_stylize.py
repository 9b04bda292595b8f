"""``cnnart fast-stylize``, ``export`` and ``styles show PHOTO``: sentences, exit codes, files."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save as save_tensors

from cnnart import runtime
from cnnart.__main__ import main
from cnnart.api import fast_stylize, styles
from cnnart.commands import fast_stylize as command
from cnnart.commands.fast_stylize import parse_trained
from cnnart.commands.refine import Refinement
from cnnart.errors import UsageError
from cnnart.image.read import read_image
from cnnart.image.write import write_image
from cnnart.methods.fast import match
from cnnart.methods.fast.checkpoint import load_checkpoint, save_checkpoint
from cnnart.run.record import read_record_of
from cnnart.run.report import Plain
from tests.helpers.fast import arbitrary_checkpoint, saved
from tests.helpers.files import save_picture
from tests.helpers.tiny_vgg import tiny_weights

QUICK = ("--precision", "fp32", "--device", "cpu")


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    save_picture("photo.png")
    saved(Path("one.safetensors"), "candy")
    saved(Path("two.safetensors"), "moss", "waves", seed=3)
    builtin = saved(Path("builtin/all.safetensors"), "ripple", "dusk", seed=5)
    monkeypatch.setattr(
        command, "trained_styles", lambda: dict.fromkeys(("ripple", "dusk"), builtin)
    )


def pixels(path: Path | str) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def run(*arguments: str) -> int:
    return main(["fast-stylize", *QUICK, *arguments])


def test_a_photo_is_painted_and_the_picture_can_be_made_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("photo.png", "-s", "two.safetensors:waves", "--strength", "0.8") == 0
    assert capsys.readouterr().out.strip() == "photo-waves.png"
    assert pixels("photo-waves.png").shape == (48, 64, 3)
    assert main(["rerun", "photo-waves.png", *QUICK]) == 0
    assert (pixels("photo-waves-rerun.png") == pixels("photo-waves.png")).all()
    Path("two.safetensors").rename("moved.safetensors")
    assert main(["rerun", "photo-waves.png", *QUICK]) == 1
    assert "which this picture was made from, is not there" in capsys.readouterr().err


def test_a_blend_carries_masks_and_all_into_its_record() -> None:
    save_picture("mask.png", seed=3)
    styles = ("-s", "ripple:2", "-s", "one.safetensors", "--mask", "mask.png")
    assert run("photo.png", *styles, "--color", "luma", "-o", "out.png") == 0
    assert main(["rerun", "out.png", "-o", "again.png", *QUICK]) == 0
    assert (pixels("again.png") == pixels("out.png")).all()


def test_a_record_names_no_network_that_took_no_part() -> None:
    assert run("photo.png", "-s", "ripple", "-o", "out.png") == 0
    record = read_record_of(Path("out.png"))
    assert record["run"]["backbone"] is None
    assert len(record["run"]["weights_sha256"]) == 64
    # Older versions wrote the network that they did not use; such pictures can be made again.
    record["run"]["backbone"] = "vgg19"
    write_image("old.png", read_image("out.png").rgb, record=json.dumps(record))
    assert main(["rerun", "old.png", "-o", "again.png", *QUICK]) == 0
    assert (pixels("again.png") == pixels("out.png")).all()


def test_what_is_there_is_left_out_unless_it_is_unfinished(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("photo.png", "-s", "ripple", "-o", "out.png") == 0
    record = read_record_of(Path("out.png"))
    half = json.dumps(record | {"interrupted_at": 1})
    write_image("half.png", torch.zeros(1, 3, 8, 8), record=half)
    capsys.readouterr()
    for name in ("out", "half"):
        assert run("photo.png", "-s", "ripple", "-o", f"{name}.png", "--skip-existing") == 0
    assert capsys.readouterr().out.split() == ["half.png"]
    assert (pixels("half.png") == pixels("out.png")).all()


@pytest.mark.parametrize("option", ["--backbone=vgg19", "--time-budget=9s", "--save-every=2"])
def test_options_that_would_do_nothing_are_not_there(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("photo.png", "-s", "ripple", option) == 2
    assert "No such option" in capsys.readouterr().err


def test_styles_are_looked_up_without_torch() -> None:
    code = (
        "import sys; from cnnart.commands.fast_stylize import parse_trained;"
        "parse_trained('two.safetensors:waves'); parse_trained('great-wave');"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_checkpoint_cut_off_is_no_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    whole = Path("one.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(whole[:-40])
    assert run("photo.png", "-s", "cut.safetensors") == 1
    assert "a damaged style checkpoint" in capsys.readouterr().err


def test_a_folder_goes_on_past_what_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(4):
        save_picture(f"in/p{index}.png", 40 + index // 2, 40, seed=index)
    Path("in/bad.jpg").write_text("no picture")
    assert run("in", "-s", "ripple", "-o", "out/", "--batch", "2") == 3
    told = capsys.readouterr()
    assert told.out.split() == [str(Path(f"out/p{i}-ripple.png")) for i in range(4)]
    assert "1 failed, 4 saved, 0 skipped" in told.err
    assert "this is a text file, not a picture" in told.err
    for index in range(4):
        assert run(f"in/p{index}.png", "-s", "ripple", "-o", "single.png") == 0
        difference = pixels("single.png") - pixels(f"out/p{index}-ripple.png")
        assert abs(difference).max() <= 1
    capsys.readouterr()
    assert run("in/p0.png", "in/p1.png", "-s", "ripple", "-o", "out/", "--skip-existing") == 0
    assert capsys.readouterr().out == ""


def test_only_broken_photos_is_failure_and_one_tells_its_own_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("bad.jpg", "worse.jpg"):
        Path(name).write_text("no picture")
    assert run("bad.jpg", "worse.jpg", "-s", "ripple") == 1
    capsys.readouterr()
    assert run("bad.jpg", "-s", "ripple") == 1
    assert "cnnart: error: bad.jpg: this is a text file" in capsys.readouterr().err


def test_alpha_is_carried_over_and_can_be_the_mask() -> None:
    save_picture("alpha.png")
    save_picture("see-alpha.png")
    assert run("see-alpha.png", "-s", "ripple", "--mask", "alpha", "-o", "o.png") == 0
    painted, photo = pixels("o.png"), pixels("see-alpha.png")
    assert (painted[..., 3] == photo[..., 3]).all()
    assert abs(painted[:, 1, :3] - photo[:, 1, :3]).max() <= 12  # next to nothing painted there
    assert run("photo.png", "-s", "ripple", "--mask", "alpha", "-o", "p.png") == 1


def test_standard_input_and_output(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    class Input:
        buffer = io.BytesIO(Path("photo.png").read_bytes())

    monkeypatch.setattr("sys.stdin", Input())
    assert run("-", "-s", "ripple", "-o", "-") == 0
    assert Image.open(io.BytesIO(capsysbinary.readouterr().out)).size == (64, 48)


def test_json_tells_programs_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photo.png", "-s", "ripple", "--json", "-o", "o.png") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["event"] for e in events] == ["start", "saved", "done"]
    assert events[0]["styles"] == ["ripple"]


def test_ctrl_c_finishes_what_was_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(30):
        save_picture(f"in/p{index:02}.png", 32, 32, seed=index)
    original = Plain.saved

    def interrupt(self: Plain, *facts) -> None:  # type: ignore[no-untyped-def]
        original(self, *facts)
        if "p00" in str(facts[0]):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Plain, "saved", interrupt)
    assert run("in", "-s", "ripple", "-o", "out/") == 130
    done = capsys.readouterr().out.split()
    assert 1 <= len(done) < 30
    assert sorted(done) == sorted(str(path) for path in Path("out").glob("p*"))
    assert run("in", "-s", "ripple", "-o", "out/", "-q") == 0  # makes the others
    assert len(list(Path("out").iterdir())) == 30


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-s", "two.safetensors"], "holds 2 styles: choose one, as in two.safetensors:moss"),
        (["-s", "two.safetensors:wavs"], "holds no style 'wavs'"),
        (["-s", "rippl"], "No trained style 'rippl': no such file or name. Did you mean ripple?"),
        (["-s", "ink-wash"], "`cnnart train-style ink-wash` trains one"),
        (["-s", "ripple:0"], "The weight of 'ripple' must be above zero"),
        (["-s", "ripple", "--stroke", "9"], "--stroke"),
        (["-s", "ripple", "--mask", "no.png"], "No such mask"),
        (["-s", "ripple", "-o", "two.txt"], "cnnart writes png"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("photo.png", *arguments) == 2
    told = capsys.readouterr().err.strip()
    assert sentence in told
    assert len(told.splitlines()) == 1


def test_a_checkpoint_is_never_overwritten() -> None:
    Path("x.safetensors").write_bytes(b"")
    assert main(["export", "one.safetensors", "-o", "one.safetensors"]) == 2


def test_weights_of_a_name_are_read_after_the_last_colon() -> None:
    assert parse_trained("two.safetensors:waves:2.5").weight == 2.5
    assert parse_trained("one.safetensors:2").name == "candy"
    assert parse_trained("dusk").builtin
    with pytest.raises(UsageError, match="No trained style"):
        parse_trained("")


# export


def test_export_writes_both_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    assert main(["export", "two.safetensors:waves", "-o", "w.onnx"]) == 0
    assert "differs from torch by" in capsys.readouterr().err
    assert Path("w.onnx").stat().st_size > 1000
    save_checkpoint(Path("any.safetensors"), arbitrary_checkpoint("candy"))
    assert main(["export", "any.safetensors:photo.png", "-o", "photo.onnx"]) == 0
    assert main(["export", "two.safetensors:waves", "-o", "copy.safetensors"]) == 0
    assert parse_trained("copy.safetensors:waves").name == "waves"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ripple", "-o", "w.tflite"], "'w.tflite' must end in .onnx or .safetensors"),
        (["two.safetensors:waves", "ripple", "-o", "w.onnx"], "Styles of several networks cannot"),
    ],
)
def test_what_cannot_be_exported(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *arguments]) == 2
    assert sentence in capsys.readouterr().err


# Python


def test_from_python_one_photo_or_many(capsys: pytest.CaptureFixture[str]) -> None:
    assert styles.__module__ == "cnnart.api"
    exact = {"device": "cpu", "precision": "fp32"}
    one = fast_stylize("photo.png", "one.safetensors", strength=0.6, **exact)
    assert one.size == (64, 48)
    save_picture("other.png", 40, 40)
    many = fast_stylize(
        ["photo.png", "other.png", "photo.png"], ["one.safetensors"], strength=0.6, **exact
    )
    assert [m.size for m in many] == [(64, 48), (40, 40), (64, 48)]
    assert abs(np.asarray(many[2]).astype(int) - np.asarray(one)).max() <= 1
    blend = [("two.safetensors:moss", 2), ("two.safetensors:waves", 1)]
    assert fast_stylize("photo.png", blend, **exact).size == (64, 48)
    assert fast_stylize("photo.png", "dusk:2", progress=True, **exact).size == (64, 48)
    assert "1/1" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"Unknown setting 'strenght'. Did you mean strength"):
        fast_stylize("photo.png", "one.safetensors", strenght=1)


# styles show


def test_styles_show_paints_a_photo_in_every_trained_style(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["styles", "show", "photo.png", "-o", "sheet.png"]) == 0
    assert capsys.readouterr().out.strip() == "sheet.png"
    wide = Image.open("sheet.png").size
    assert main(["styles", "show", "photo.png", "dusk", "-o", "one.png"]) == 0
    assert Image.open("one.png").size[0] <= wide[0]
    assert main(["styles", "show", "photo.png", "duks", "-o", "none.png"]) == 2
    assert "Did you mean dusk?" in capsys.readouterr().err


# Any picture as a style


@pytest.fixture
def any_style(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network that paints in the style of any picture, as cnnart brings one."""
    monkeypatch.setenv("CNNART_CACHE", "cache")
    path = Path("any.safetensors")
    save_checkpoint(path, arbitrary_checkpoint("candy"), "fp32")
    monkeypatch.setattr(command, "arbitrary_network", lambda: path)
    return path


def _odd_styles() -> dict[str, Image.Image]:
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 4), np.uint8)
    return {
        "flat": Image.new("RGB", (20, 30), (200, 40, 10)),
        "dot": Image.new("RGB", (1, 1), (10, 200, 40)),
        "glass": Image.fromarray(noise),
        "deep": Image.fromarray((noise[..., 0].astype(np.uint16) << 8) + 7),
    }


@pytest.mark.parametrize("name", _odd_styles())
def test_any_picture_is_a_style(any_style: Path, name: str) -> None:
    _odd_styles()[name].save(f"{name}.png")
    assert run("photo.png", "-s", f"{name}.png") == 0
    found = pixels(f"photo-{name}.png")
    assert found.shape == (48, 64, 3)
    assert found.std() > 1
    assert run("photo.png", "-s", f"{name}.png", "-o", "again.png") == 0  # from the cache
    assert (pixels("again.png") == found).all()
    record = read_record_of(Path("again.png"))["styles"][0]
    assert record["picture"]["name"] == f"{name}.png"
    assert main(["rerun", "again.png", *QUICK]) == 0
    assert (pixels("again-rerun.png") == found).all()


def test_it_blends_with_trained_styles_and_in_python(any_style: Path) -> None:
    picture = _odd_styles()["glass"].convert("RGB")
    picture.save("glass.png")
    assert run("photo.png", "-s", "glass.png:2", "-s", "any.safetensors:candy") == 0
    blend = pixels("photo-glass+candy.png")
    settings = {"device": "cpu", "precision": "fp32"}
    alone = np.asarray(fast_stylize("photo.png", picture, **settings)).astype(int)
    named = np.asarray(fast_stylize("photo.png", "glass.png", **settings)).astype(int)
    assert (alone == named).all()
    both = fast_stylize("photo.png", [(picture, 2), "any.safetensors:candy"], **settings)
    assert (np.asarray(both).astype(int) == blend).all()
    assert abs(alone - blend).mean() > 0.5


def test_a_network_of_ones_own_paints_in_any_style(any_style: Path) -> None:
    _odd_styles()["glass"].save("glass.png")
    assert run("photo.png", "-s", "any.safetensors:glass.png") == 0


def test_without_any_network_a_picture_is_no_style(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "arbitrary_network", lambda: None)
    assert run("photo.png", "-s", "photo.png") == 2
    assert "is a picture, and fast-stylize needs a trained style" in capsys.readouterr().err


@pytest.fixture
def quick_match(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNART_CACHE", "cache")
    monkeypatch.setattr(runtime, "load_vgg", lambda *_, **__: tiny_weights())
    monkeypatch.setattr(command, "arbitrary_network", lambda: Path("builtin/all.safetensors"))
    sizes = {"LARGEST_CROP": 64, "PROBES": 1, "BLEND_STEPS": 2, "STEPS": 2}
    for name, value in sizes.items():
        monkeypatch.setattr(match, name, value)


@pytest.mark.parametrize("name", _odd_styles())
def test_trained_networks_without_a_predictor_paint_in_any_style(
    quick_match: None, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _odd_styles()[name].save(f"{name}.png")
    assert run("photo.png", "-s", f"{name}.png") == 0
    assert f"{name}: learning this style once" in capsys.readouterr().err
    found = pixels(f"photo-{name}.png")
    assert found.shape == (48, 64, 3)
    assert run("photo.png", "-s", f"{name}.png", "-o", "again.png") == 0
    assert "learning" not in capsys.readouterr().err  # from the cache
    assert (pixels("again.png") == found).all()
    assert main(["rerun", "again.png", *QUICK]) == 0
    assert (pixels("again-rerun.png") == found).all()
    blend = ("-s", "two.safetensors:moss", "-s", f"two.safetensors:{name}.png:2")
    assert run("photo.png", *blend, "-o", "blend.png") == 0
    assert (pixels("blend.png") != found).any()


def test_a_matched_style_is_refined_exported_and_used_in_python(quick_match: None) -> None:
    glass = _odd_styles()["glass"].convert("RGB")
    glass.save("glass.png")
    save_picture("wide.png", height=80, width=96)
    refine = ("--refine", "2s", "--save-style", "mine.safetensors")
    assert run("wide.png", "-s", "two.safetensors:glass.png", *refine, "-o", "refined.png") == 0
    assert run("wide.png", "-s", "mine.safetensors:glass", "-o", "kept.png") == 0
    assert (pixels("kept.png") == pixels("refined.png")).all()
    settings = {"device": "cpu", "precision": "fp32"}
    alone = np.asarray(fast_stylize("photo.png", glass, **settings))
    assert (alone == np.asarray(fast_stylize("photo.png", "glass.png", **settings))).all()
    pytest.importorskip("onnxruntime")
    assert main(["export", "one.safetensors:glass.png", "-o", "glass.onnx"]) == 0


def test_a_picture_in_memory_is_looked_for_once(
    quick_match: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    glass, settings = _odd_styles()["glass"].convert("RGB"), {"device": "cpu", "precision": "fp32"}
    first = np.asarray(fast_stylize("photo.png", glass, **settings))
    monkeypatch.setattr(match, "match_style", None)
    assert (np.asarray(fast_stylize("photo.png", glass, **settings)) == first).all()
    with pytest.raises(TypeError):  # of another it is asked
        fast_stylize("photo.png", _odd_styles()["flat"], **settings)


def test_a_dry_run_learns_no_style(
    quick_match: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _odd_styles()["glass"].save("glass.png")
    monkeypatch.setattr(match, "match_style", None)
    assert run("photo.png", "-s", "glass.png", "--dry-run") == 0
    assert "learning" not in capsys.readouterr().err
    assert not Path("cache").exists()
    Path("broken.png").write_text("no picture")
    assert run("photo.png", "-s", "broken.png", "--dry-run") == 1


def test_a_damaged_file_in_the_cache_is_made_anew(quick_match: None) -> None:
    _odd_styles()["glass"].save("glass.png")
    assert run("photo.png", "-s", "glass.png", "-o", "first.png") == 0
    (kept,) = Path("cache/styles").iterdir()
    for damaged in (b"", save_tensors({"weak.gamma": torch.zeros(1, 3)})):
        kept.write_bytes(damaged)
        assert run("photo.png", "-s", "glass.png", "-o", "again.png") == 0
        assert (pixels("again.png") == pixels("first.png")).all()
    kept.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(kept)  # nobody writes into it
        assert run("photo.png", "-s", "glass.png", "-o", "again.png") == 0
        assert (pixels("again.png") == pixels("first.png")).all()


def test_where_a_refined_style_cannot_be_kept_is_told_before_it_is_trained(
    any_style: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_picture("wide.png", height=80, width=96)
    Path("full").write_text("no folder")
    monkeypatch.setenv("CNNART_CACHE", "full")
    monkeypatch.setattr(Refinement, "_trainer", None)
    refine = ("wide.png", "-s", "photo.png", "--refine", "3s")
    assert run(*refine) == 2
    told = capsys.readouterr().err
    assert "'full' is a file, not a folder." in told
    assert "give --save-style FILE, or set CNNART_CACHE" in told
    assert run(*refine, "--save-style", "full/x.safetensors") == 2
    assert "CNNART_CACHE" not in capsys.readouterr().err


def test_a_style_is_refined_and_kept(any_style: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _odd_styles()["glass"].save("glass.png")
    save_picture("wide.png", height=150, width=180)  # crops are larger than the smallest
    save_picture("small.png", height=150, width=144)
    assert run("wide.png", "-s", "glass.png", "-o", "plain.png") == 0
    refine = ("--refine", "3s", "--save-style", "glass.safetensors")
    both = ("wide.png", "small.png")
    assert run(*both, "-s", "glass.png", *refine, "-o", "{stem}-refined.png") == 0
    assert run("wide.png", "-s", "glass.safetensors:glass", "-o", "kept.png") == 0
    assert (pixels("kept.png") == pixels("wide-refined.png")).all()
    assert (pixels("plain.png") != pixels("wide-refined.png")).any()
    mine, base = load_checkpoint(Path("glass.safetensors")), load_checkpoint(any_style)
    assert mine.bank.names == ("glass",)
    assert not torch.equal(mine.network.head.weight, base.network.head.weight)  # all of it learns


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["-s", "ripple", "--refine", "3s"], 2, "--refine is for one style that is a picture"),
        (
            ["-s", "photo.png", "--save-style", "x.safetensors"],
            2,
            "--save-style keeps what --refine",
        ),
        (
            ["-s", "photo.png", "--refine", "3s", "--save-style", "x.pt"],
            2,
            "--save-style 'x.pt' must end in .safetensors.",
        ),
        (["-s", "photo.png", "--refine", "3s"], 2, "none of the 1 has as much as 64 x 64 pixels"),
        (["-s", "photo.png", "--stroke", "pixels=huge"], 2, "--stroke 'pixels=huge' is no size"),
    ],
)
def test_what_cannot_be_refined_is_told(
    any_style: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    assert run("photo.png", *arguments) == code
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


def test_a_mask_by_name_is_found_shown_and_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    Image.open(ASTRONAUT).resize((128, 128)).save("her.png")
    given = ("-s", "ripple", "--mask", "face", "--show-mask", "mask-{stem}.png", "-o", "out.png")
    assert run("her.png", *given) == 0
    before, after = pixels("her.png"), pixels("out.png")
    face, wall = (slice(25, 38), slice(48, 64)), (slice(5, 30), slice(80, 128))
    assert abs(after[face] - before[face]).mean() > 10
    assert (after[wall] == before[wall]).all()
    mask = pixels("mask-her.png")
    assert mask[face].min() > 240 > 10 > mask[wall].max()
    assert main(["rerun", "out.png", *QUICK]) == 0
    assert (pixels("out-rerun.png") == after).all()
    assert capsys.readouterr().err.count("bug") == 0


def test_a_batch_goes_on_past_a_photo_without_a_face(capsys: pytest.CaptureFixture[str]) -> None:
    Image.open(ASTRONAUT).resize((128, 128)).save("her.png")
    assert run("photo.png", "her.png", "-s", "ripple", "--mask", "face", "-o", "out/") == 3
    assert "photo.png  no face found in it for --mask." in capsys.readouterr().err
    assert [path.name for path in Path("out").iterdir()] == ["her-ripple.png"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (("--mask", "subjct"), "No such mask: 'subjct'"),
        (("--mask", "class:tabbi"), "Unknown class 'tabbi'. Did you mean tabby?"),
        (("--show-mask", "m.png"), "--show-mask shows what --mask chooses: give both."),
        (("--mask", "face", "--show-mask", "photo.png"), "--show-mask would overwrite"),
    ],
)
def test_masks_that_cannot_be(
    given: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("photo.png", "-s", "ripple", *given) == 2
    assert problem in capsys.readouterr().err
