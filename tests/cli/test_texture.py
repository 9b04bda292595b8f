"""``cnnart texture`` from the command line: files, exit codes, sentences, records."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.cli.texture import further_files
from cnnart.commands.texture import split_weight
from cnnart.errors import UsageError
from cnnart.run.inputs import Source
from cnnart.run.report import Finding
from cnnart.run.terminal import Terminal
from tests.helpers.files import cnnart_process, save_picture

GRAM = [
    *("--method", "gram", "--steps", "2", "--preset", "draft", "--layers", "relu1_1,relu2_1"),
    *("--size", "40x33", "--precision", "fp32", "--device", "cpu"),
]
QUILTING = ["--method", "quilting", "--size", "40x33"]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    save_picture("bark.png", 32, 28)
    save_picture("moss.png", 32, 28, seed=2)
    save_picture("normal.png", 32, 28, seed=3)
    save_picture("map.png", 32, 28, seed=4)
    save_picture("small.png", 20, 20)
    Path("bad.jpg").write_text("no picture")
    save_mask("mask.png", 32, 28)
    save_mask("black.png", 32, 28, level=0)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: pytest.fail("the network was loaded"))


def save_mask(path: str, width: int, height: int, level: int = 255) -> None:
    mask = np.zeros((height, width), np.uint8)
    mask[10:18, 12:20] = level
    Image.fromarray(mask).save(path)


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def events(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_it_writes_a_texture_of_that_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["texture", "bark.png", *GRAM, "--quiet"]) == 0
    assert pixels("bark-texture.png").shape == (33, 40, 3)
    assert capsys.readouterr() == ("", "")


def test_twice_the_exemplar_where_nothing_is_said() -> None:
    assert main(["texture", "bark.png", "--method", "quilting", "-q", "-o", "out.png"]) == 0
    assert pixels("out.png").shape == (56, 64, 3)


def test_every_exemplar_becomes_a_texture_of_its_own() -> None:
    assert main(["texture", "bark.png", "moss.png", *QUILTING, "-q", "-o", "out/"]) == 0
    found = {p.name for p in Path("out").iterdir()}
    assert found == {"bark-texture.png", "moss-texture.png"}


def test_a_bad_exemplar_stops_no_batch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["texture", "bad.jpg", "bark.png", *QUILTING, "-o", "out/"]) == 3
    assert Path("out/bark-texture.png").exists()
    assert "bad.jpg" in capsys.readouterr().err


def test_a_mixture_is_one_texture_and_is_made_again() -> None:
    command = ["texture", "bark.png:3", "moss.png", "--mix", *GRAM, "-q", "-o", "mixed.png"]
    assert main(command) == 0
    record = json.loads(Image.open("mixed.png").info["cnnart"])
    assert record["weights"] == [3.0, 1.0]
    assert [m["name"] for m in record["mixed"]] == ["moss.png"]
    assert main(["rerun", "mixed.png", "-q", "-o", "again.png"]) == 0
    assert (pixels("mixed.png") == pixels("again.png")).all()


@pytest.mark.parametrize("how", [GRAM, QUILTING])
def test_rerun_reproduces_it(how: list[str]) -> None:
    options = ["--tileable", "x", "--seed", "5", "--scale", "0.9"]
    assert main(["texture", "bark.png", *how, *options, "-q", "-o", "a.png"]) == 0
    assert main(["rerun", "a.png", "-q", "-o", "b.png"]) == 0
    assert (pixels("a.png") == pixels("b.png")).all()
    assert main(["texture", "bark.png", *how, "-q", "-o", "c.png"]) == 0
    assert (pixels("a.png") != pixels("c.png")).any()


@pytest.mark.parametrize("how", [GRAM, QUILTING])
def test_a_tileable_texture_tells_its_seam_and_shows_it(
    how: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--tileable", "both", "--preview-tiled", "3x2", "--json"]
    assert main(["texture", "bark.png", *how, *options, "-o", "tile.png"]) == 0
    told = events(capsys.readouterr().out)
    (seam,) = [e["seam_error"] for e in told if "seam_error" in e]
    assert set(seam) == {"x", "y"}  # type: ignore[call-overload]
    assert all(abs(error) < 0.03 for error in seam.values())  # type: ignore[attr-defined]
    assert {e.get("tiled") for e in told} >= {"tile-tiled.png"}
    tile = pixels("tile.png")
    assert (pixels("tile-tiled.png") == np.tile(tile, (2, 3, 1))).all()


@pytest.mark.parametrize(
    ("arguments", "tileable"),
    [
        ("--tileable bark.png", "both"),
        ("bark.png --tileable", "both"),
        ("bark.png --tileable -q", "both"),
        ("--tileable both bark.png", "both"),
        ("--tileable=y bark.png", "y"),
        ("bark.png --tileable x", "x"),
        ("--tileable none bark.png", "none"),
        ("-- bark.png", "none"),
    ],
)
def test_tileable_alone_means_both(arguments: str, tileable: str) -> None:
    assert main(["texture", "-o", "tile.png", *QUILTING, *arguments.split()]) == 0
    record = json.loads(Image.open("tile.png").info["cnnart"])
    assert record["settings"]["tileable"] == tileable


def test_a_file_called_tileable_is_an_exemplar() -> None:
    Path("--tileable").write_bytes(Path("bark.png").read_bytes())
    assert main(["texture", *QUILTING, "-q", "-o", "out.png", "--", "--tileable"]) == 0
    record = json.loads(Image.open("out.png").info["cnnart"])
    assert record["settings"]["tileable"] == "none"
    assert record["photo"]["name"] == "--tileable"


def test_in_a_pipe_the_seam_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["texture", "bark.png", *QUILTING, "--tileable", "y", "-o", "tile.png"]) == 0
    told = capsys.readouterr()
    assert told.out == "tile.png\n"
    assert "seam error against the interior: y " in told.err


def test_on_a_terminal_it_is_a_line() -> None:
    console = Console(file=io.StringIO(), width=40)
    Terminal(console=console).found(Finding("seam error: x +1.0%", {"seam_error": {"x": 0.01}}))
    assert console.file.getvalue() == "seam error: x +1.0%\n"  # type: ignore[attr-defined]


def test_auto_says_what_it_picked_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--size", "40x33", "--steps", "1", "--preset", "draft", "--device", "cpu"]
    assert main(["texture", "bark.png", *size, "--json", "-o", "out.png"]) == 0
    start = events(capsys.readouterr().out)[0]
    assert start["method"] in ("gram", "quilting")
    assert len(str(start["method_reason"])) > 10


def test_auto_mends_holes_with_patches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["texture", "bark.png", "--inpaint", "mask.png", "--json", "-o", "out.png"]) == 0
    start = events(capsys.readouterr().out)[0]
    assert start["method"] == "quilting"
    assert start["method_reason"] == "patches continue what surrounds a hole"


@pytest.mark.parametrize("tileable", ["none", "both"])
def test_companions_are_copied_like_the_exemplar(tileable: str) -> None:
    """With the exemplar as its own companion it comes out twice."""
    Path("copy.png").write_bytes(Path("bark.png").read_bytes())
    options = ["--companion", "copy.png", "--companion", "normal.png", "--tileable", tileable]
    assert main(["texture", "bark.png", *QUILTING, *options, "-q", "-o", "out.png"]) == 0
    assert (pixels("out.png") == pixels("out-copy.png")).all()
    known = {tuple(p) for p in pixels("normal.png").reshape(-1, 3)}
    made = {tuple(p) for p in pixels("out-normal.png").reshape(-1, 3)}
    assert made <= known


@pytest.mark.parametrize("how", [GRAM[:-6], QUILTING[:2]])
def test_inpainting_leaves_the_rest_alone(how: list[str]) -> None:
    command = ["texture", "bark.png", "--inpaint", "mask.png", *how, "-q", "-o", "out.png"]
    assert main(command) == 0
    before, after, mask = pixels("bark.png"), pixels("out.png"), pixels("mask.png") > 0
    assert (before[~mask] == after[~mask]).all()
    assert (before[mask] != after[mask]).any()
    assert main(["rerun", "out.png", "-q", "-o", "again.png"]) == 0
    assert (pixels("again.png") == after).all()


@pytest.mark.parametrize("how", [GRAM, QUILTING])
def test_alpha_is_kept(how: list[str]) -> None:
    """A hole in the exemplar: the texture has about as much of it, and holes are where alpha is."""
    picture = np.asarray(Image.open(save_picture("leaf.png", 32, 32))).copy()
    alpha = np.zeros((32, 32, 1), np.uint8)
    alpha[:, :20] = 255
    Image.fromarray(np.concatenate([picture, alpha], -1)).save("leaf.png")
    assert main(["texture", "leaf.png", *how, "-q", "-o", "out.png"]) == 0
    made = pixels("out.png")
    assert made.shape == (33, 40, 4)
    assert made[..., 3].std() > 50


def test_the_ladder_is_a_sheet() -> None:
    assert main(["texture", "bark.png", *GRAM, "--ladder", "-q"]) == 0
    sheet = pixels("bark-ladder.png")
    assert sheet.shape[1] > 3 * 40  # relu1_1 alone, both layers, the exemplar
    assert sheet.shape[0] > 33


def test_a_guide_says_what_is_where() -> None:
    halves = np.zeros((28, 32, 3), np.uint8)
    halves[:, 16:] = 255
    Image.fromarray(halves).save("map.png")
    Image.fromarray(halves[::-1].transpose(1, 0, 2).copy()).save("target.png")
    guide = ["--guide", "map.png", "--guide-target", "target.png"]
    for how in (GRAM, QUILTING):
        assert main(["texture", "bark.png", *how, *guide, "-q", "-o", "out.png"]) == 0
        assert pixels("out.png").shape == (33, 40, 3)
    assert main(["texture", "bark.png", "--method", "quilting", *guide, "-q", "-o", "o.png"]) == 0
    assert pixels("o.png").shape == (32, 28, 3)  # as large as the target's map


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("bork.png", 2, "No such file or folder: 'bork.png'. Did you mean bark.png?"),
        (
            "bark.png moss.png -o one.png",
            2,
            "2 exemplars for the one file 'one.png': add --mix to make one texture of them all, or "
            "give a folder (out/).",
        ),
        (
            "bark.png:2 moss.png",
            2,
            "bark.png:2 has a weight, but there is no mixture: add --mix.",
        ),
        ("bark.png:0 moss.png --mix", 2, "The weight of 'bark.png' must be above zero, not 0."),
        ("bark.png --size big", 2, "'big' is no size"),
        ("bark.png --preview-tiled 3", 2, "'3' is no number of repeats: write 3x3"),
        ("bark.png --preview-tiled 3x99", 2, "'3x99' is no number of repeats: write 3x3"),
        ("bark.png --method gramm", 2, "'gramm' is not one of"),
        ("bark.png --layers relu9_9 --method gram", 2, "vgg19 has no layer 'relu9_9'."),
        ("bark.png --guide map.png", 2, "--guide and --guide-target belong together"),
        (
            "bark.png --guide none.png --guide-target map.png",
            2,
            "--guide 'none.png': there is no such file or folder.",
        ),
        (
            "bark.png moss.png --mix --guide map.png --guide-target map.png",
            2,
            "1 guide maps for 2 exemplars: one each, in the same order.",
        ),
        ("bark.png --inpaint no.png", 2, "--inpaint 'no.png': there is no such file or folder."),
        ("bark.png --inpaint mask.png --size 40", 2, "--inpaint keeps the picture's size"),
        (
            "bark.png --inpaint mask.png --guide map.png --guide-target map.png",
            2,
            "--inpaint and --guide do not go together: use one of them.",
        ),
        ("bark.png --companion normal.png --method gram", 2, "--companion needs a method that"),
        ("bark.png moss.png --mix --companion normal.png", 2, "--companion goes with one exemplar"),
        ("bark.png --companion normal.png -o -", 2, "write beside the result"),
        ("bark.png --ladder --method quilting", 2, "--ladder shows layers of the network"),
        ("bark.png --ladder --inpaint mask.png", 2, "--ladder makes a sheet"),
        ("bark.png -o moss.png moss.png --mix", 2, "would overwrite the input"),
        ("bark.png --companion normal.png -o normal.png", 2, "would overwrite the input"),
        (
            "bark.png --companion small.png --method quilting",
            2,
            "small.png: a map of 20x20 pixels cannot follow an exemplar of 32x28",
        ),
        ("bad.jpg --method quilting", 1, "bad.jpg"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed(
    arguments: str, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["texture", *arguments.split()]) == code
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1


def test_what_lies_beside_the_result_overwrites_no_input(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = Path("bark.png").rename("out-normal.png").read_bytes()
    companion = ["--companion", "normal.png", "--method", "quilting"]
    assert main(["texture", "out-normal.png", *companion, "-q", "-o", "out.png"]) == 2
    assert "'out-normal.png' would be overwritten: choose another -o." in capsys.readouterr().err
    assert Path("out-normal.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("bark.png --method gram --inpaint black.png", 2, "The mask to inpaint is black"),
        ("bark.png --method gram --size 600x16 --layers pool5", 2, "is too short for these layers"),
    ],
)
def test_what_only_the_method_can_tell(
    arguments: str, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["texture", *arguments.split(), "-q"]) == code
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bark.png", ("bark.png", None)),
        ("bark.png:2", ("bark.png", 2.0)),
        ("none.png:0.5", ("none.png", 0.5)),
        ("C:\\bark.png", ("C:\\bark.png", None)),
        ("a:b", ("a:b", None)),
        ("-", ("-", None)),
        ("odd:3", ("odd:3", None)),
    ],
)
def test_weights_are_told_from_names(text: str, expected: tuple[str, float | None]) -> None:
    if text == "odd:3":
        if sys.platform == "win32":
            pytest.skip("no colons in names")
        Path(text).write_text("a file of that name")
    assert split_weight(text) == expected


def test_standard_input_comes_first_in_a_mixture() -> None:
    with pytest.raises(UsageError, match=r"standard input \(-\) must be the first exemplar"):
        further_files([Source(None, "-")])


def test_standard_input_and_output() -> None:
    process = cnnart_process("texture", "-", *QUILTING, "-o", "-", "-q", stdin=-1)
    out, err = process.communicate(Path("bark.png").read_bytes())
    assert process.returncode == 0, err
    Path("out.png").write_bytes(out)
    assert pixels("out.png").shape == (33, 40, 3)
