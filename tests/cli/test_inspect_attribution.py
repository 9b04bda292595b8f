"""occlusion, saliency, class-model and fool on the command line: files, numbers, refusals."""

import json
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from cnnart.__main__ import main
from cnnart.cli import cli
from tests.helpers.files import save_picture

PROBE = ("--backbone", "tests.helpers.inspection:make_probe", "--device", "cpu")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with photo.png (90 x 60), which is the current one."""
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png", 90, 60, seed=2)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli, ["inspect", *arguments], catch_exceptions=False)


def numbers(*arguments):
    result = run(*arguments, *PROBE, "--json")
    assert result.exit_code == 0
    return json.loads(result.output.splitlines()[-1])


def refusal(capsys, *arguments):
    """The exit code and the one line that a wrong command gets."""
    code = main(["inspect", *arguments])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return code, lines[0]


def test_occlusion_writes_its_sheet_and_numbers(here):
    found = numbers("occlusion", "photo.png", "--class", "patch", "--window", "8", "--stride", "4")
    assert found["output"] == "photo-occlusion.png"
    assert Image.open("photo-occlusion.png").width > 3 * 64
    values = torch.tensor(found["values"])
    assert values.shape == (7, 7)
    assert found["largest_drop"]["drop"] == pytest.approx(found["base"] - float(values.min()))
    assert found["class"] == "patch"
    box = found["largest_drop"]["box"]
    assert box["right"] - box["left"] == pytest.approx(8 * 60 / 36, abs=1)


def test_occlusion_of_a_unit_and_as_a_page(here):
    result = run("occlusion", "photo.png", *PROBE, "--layer", "relu", "-o", "out/page.html")
    assert (result.exit_code, result.output) == (0, "out/page.html\n")
    assert "relu channel" in (here / "out" / "page.html").read_text(encoding="utf-8")


def test_saliency_scores_and_masks_every_method(here):
    pytest.importorskip("captum")
    found = numbers(
        "saliency", "photo.png", "--class", "patch", "--method", "all", "--mask", "--score",
        "--samples", "3",
    )  # fmt: skip
    names = [row["method"] for row in found["methods"]]
    assert names == [
        "gradient", "guided-backprop", "smoothgrad", "integrated-gradients", "grad-cam", "random"
    ]  # fmt: skip
    for row in found["methods"]:
        assert 0 <= row["deletion"] <= 1
        assert 0 <= row["insertion"] <= 1
        assert ("mask_share" in row) == (row["method"] != "random")
    first = Image.open("photo-saliency.png").size
    numbers("saliency", "photo.png", "--method", "gradient")
    second = Image.open("photo-saliency.png").size
    assert first[0] > 3 * second[0]  # seven columns, not two
    assert first[1] > 1.5 * second[1]  # and a row of masks


def test_class_model_draws_facets_from_photos_and_names_bad_ones(here):
    pytest.importorskip("sklearn")
    for n in range(5):
        save_picture(f"photos/{n}.png", 50, 40, seed=n)
    (here / "photos" / "bad.jpg").write_text("no picture")
    result = run(
        "class-model", "--class", "patch", *PROBE, "--recipe", "yosinski", "--steps", "3",
        "--facets", "2", "--photos", "photos", "--json",
    )  # fmt: skip
    assert result.exit_code == 3
    assert "1 of 6 pictures could not be used" in result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert [row["seed"] for row in found["pictures"]] == [0, 1]
    assert found["output"] == "patch-class-model.png"
    assert Image.open("patch-class-model.png").width > 128


def test_fool_saves_a_picture_that_fools_still(here):
    found = numbers("fool", "photo.png", "--save", "fooled.png", "--steps", "80")
    assert found["target"] == found["after"][0]["class"] != found["before"][0]["class"]
    assert found["probability"] >= 0.9
    assert Image.open("fooled.png").size == (90, 60)
    assert found["saved"] == "fooled.png"
    again = numbers("occlusion", "fooled.png")
    assert again["class"] == found["target"]
    assert again["base"] == pytest.approx(found["probability"], abs=1e-5)


def test_fool_to_a_class_by_name(here):
    assert numbers("fool", "photo.png", "--to", "frog", "--steps", "80")["target"] == "tree frog"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("occlusion", "gone.png"), "gone.png"),
        (("occlusion", "photo.png", "--class", "1", "--layer", "relu"), "give one of them"),
        (("occlusion", "photo.png", "--channel", "1"), "--channel needs --layer"),
        (("occlusion", "photo.png", "-o", "photo.png"), "would overwrite the input 'photo.png'"),
        (("occlusion", "photo.png", "-o", "out.txt"), "'out.txt' names no kind of file"),
        (("occlusion", "photo.png", *PROBE, "--window", "33"), "does not fit the picture"),
        (("occlusion", "photo.png", *PROBE, "--class", "fire engnie"), "Did you mean fire engine?"),
        (("occlusion", "photo.png", *PROBE, "--class", "9"), "There is no class 9"),
        (("occlusion", "photo.png", *PROBE, "--layer", "rleu"), "Did you mean relu?"),
        (("occlusion", "."), "'.' is 2 pictures: this command takes one"),
        (("saliency", "photo.png", "--score", "--layer", "relu"), "leave --layer out"),
        (("saliency", "photo.png", "--method", "magic"), "'magic' is not one of"),
        (("class-model",), "Missing option '--class'"),
        (("class-model", "--class", "1", "--class", "2", "--photos", "."), "give one --class"),
        (("class-model", "--class", "1", *PROBE, "--facets", "9", "--photos", "."), "9 facets"),
        (("fool", "photo.png", "--save", "fooled.jpg"), "end it in .png or .tiff"),
        (("fool", "photo.png", "--save", "photo.png"), "would overwrite the input 'photo.png'"),
        (("fool", "photo.png", "-o", "a.png", "--save", "a.png"), "would overwrite"),
        (("fool", "photo.png", "--confidence", "1"), "--confidence"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_sentence_and_code_two(here, capsys, arguments, sentence):
    save_picture("second.png")
    code, line = refusal(capsys, *arguments)
    assert code == 2
    assert sentence in line


def test_what_the_photo_is_already_seen_as_is_refused(here, capsys):
    seen = numbers("occlusion", "photo.png", "--window", "32")["class"]
    code, line = refusal(capsys, "fool", "photo.png", *PROBE, "--to", seen)
    assert code == 2
    assert f"photo.png is seen as {seen} already: choose another class." in line


def test_what_could_not_be_done_is_code_one(here, capsys):
    code, line = refusal(capsys, "fool", "photo.png", *PROBE, "--steps", "1")
    assert code == 1
    assert "No small change was found in 1 steps" in line


@pytest.mark.parametrize(
    ("module", "arguments", "what"),
    [
        ("captum.attr", ("--method", "integrated-gradients"), "Integrated gradients need captum"),
        ("sklearn.mixture", ("--method", "gradient", "--mask"), "--mask needs scikit-learn"),
    ],
)
def test_a_missing_extra_is_named(here, capsys, monkeypatch, module, arguments, what):
    monkeypatch.setitem(sys.modules, module, None)
    code, line = refusal(capsys, "saliency", "photo.png", *PROBE, *arguments)
    assert code == 2
    assert f"{what}: pip install 'cnnart[inspect]'." in line


@pytest.mark.parametrize("name", ["occlusion", "saliency", "class-model", "fool"])
def test_help_needs_no_torch(name):
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom cnnart.cli import cli\n"
        f"result = CliRunner().invoke(cli, ['inspect', '{name}', '--help'])\n"
        "assert result.exit_code == 0, result.output\n"
        "heavy = {'torch', 'numpy', 'PIL', 'torchvision'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_layers_as_a_page(here, capsys):
    probe = "tests.helpers.inspection:make_probe"
    result = run("layers", probe, "-o", "layers.html")
    assert (result.exit_code, result.output) == (0, "layers.html\n")
    page = (here / "layers.html").read_text(encoding="utf-8")
    assert "<h1>Layers of tests.helpers.inspection:make_probe" in page
    assert '<th scope="col">name</th>' in page
    assert "<td>conv</td>" in page
    told = json.loads(run("layers", probe, "-o", "layers.html", "--json").output)
    assert told["output"] == "layers.html"
    assert [layer["name"] for layer in told["layers"]][:2] == ["conv", "relu"]
    code, line = refusal(capsys, "layers", probe, "-o", "layers.png")
    assert (code, "a list of layers goes to a file in .html" in line) == (2, True)


def test_pages_fade_what_lies_over_the_photo(here):
    for command, count in (("occlusion", 1), ("saliency", 1)):
        more = ["--method", "gradient"] if command == "saliency" else ["--window", "16"]
        result = run(command, "photo.png", *PROBE, *more, "-o", "page.html")
        assert result.exit_code == 0
        page = (here / "page.html").read_text(encoding="utf-8")
        assert page.count('type="range"') == count
        assert "readings" in page
