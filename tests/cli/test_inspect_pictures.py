"""filters and invert as commands: files, numbers, sentences and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cnnart.__main__ import main
from cnnart.commands.inspect import find_items
from tests.helpers.files import save_picture

INVERT = ["inspect", "invert", "photo.png", "--size", "32", "--steps", "3", "--device", "cpu"]


@pytest.fixture(autouse=True)
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    save_picture("photo.png")


def run(capsys, *arguments):
    """(exit code, JSON of the last line)."""
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_what_had_to_be_guessed_of_a_picture_is_told(capsys):
    frames = [Image.open("photo.png").convert("RGB"), Image.new("RGB", (64, 48))]
    frames[0].save("photo.webp", save_all=True, append_images=frames[1:])
    line = "cnnart: photo.webp: an animation; its first picture is used."
    main(["inspect", "filters", "--on", "photo.webp", "--channels", "3"])
    assert line in capsys.readouterr().err.splitlines()
    (item,) = find_items(["photo.webp"], warn=(told := []).append)
    assert told == []
    assert item.read().shape == (1, 3, *frames[0].size[::-1])
    assert told == [line.removeprefix("cnnart: ")]


def test_the_first_kernels_of_alexnet(capsys):
    code, numbers = run(capsys, "inspect", "filters")
    assert code == 0
    assert numbers["layer"] == "conv1"
    assert numbers["shape"] == [64, 3, 11, 11]
    assert [kernel["channel"] for kernel in numbers["kernels"]] == list(range(64))
    assert numbers["output"] == "alexnet-filters.png"
    assert Image.open("alexnet-filters.png").width == 8 + 8 * (88 + 8)


def test_kernels_with_what_they_find(capsys):
    code, numbers = run(
        capsys, "inspect", "filters", "--on", "photo.png", "--channels", "3,5", "-o", "f.html"
    )
    assert code == 0
    assert [kernel["channel"] for kernel in numbers["kernels"]] == [3, 5]
    assert all(0 <= kernel["active"] <= 1 for kernel in numbers["kernels"])
    assert Path("f.html").read_text(encoding="utf-8").count("data:image/png") == 2
    main(["inspect", "filters", "--on", "photo.png", "--channels", "3"])
    assert capsys.readouterr().out == "photo-alexnet-filters.png\n"


@pytest.mark.parametrize("backbone", ["vgg19", "efficientnet-lite0"])
def test_kernels_of_the_other_embedded_networks(capsys, backbone):
    code, numbers = run(capsys, "inspect", "filters", "--backbone", backbone, "--channels", "0")
    assert code == 0
    assert numbers["shape"][1:] == [3, 3, 3]


def test_invert(capsys):
    code, numbers = run(capsys, *INVERT)
    assert code == 0
    assert numbers["from"] == "features"
    layers = [found["layer"] for found in numbers["layers"]]
    assert layers == ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    assert all(found["pixel_error"] > 0 for found in numbers["layers"])
    assert Image.open("photo-inverted.png").width == 8 + 6 * (32 + 8)


@pytest.mark.parametrize("backbone", ["alexnet", "efficientnet-lite0"])
def test_invert_other_networks(capsys, backbone):
    asked = [*INVERT, "--size", "64", "--backbone", backbone]
    code, numbers = run(capsys, *asked)
    assert code == 0
    assert len(numbers["layers"]) == 5
    code, numbers = run(capsys, *asked, "--gram")
    assert (code, numbers["from"]) == (0, "Gram matrices")


def test_invert_chosen_layers_from_their_gram_matrices(capsys):
    code, numbers = run(capsys, *INVERT, "--gram", "--layers", "relu1_1, relu3_2", "-o", "g.png")
    assert code == 0
    assert [found["layer"] for found in numbers["layers"]] == ["relu1_1", "relu3_2"]
    assert numbers["output"] == "g.png"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("filters --layer conv9", 2, "alexnet has no layer 'conv9'. Did you mean conv"),
        ("filters --layer relu2", 2, "'relu2' has no kernels: name a convolution. Did you mean c"),
        ("filters --channels 64", 2, "conv1 has no channel 64: it has 0 to 63."),
        ("filters --on gone.png", 2, "No such file or folder: 'gone.png'."),
        ("filters --on bad.jpg", 1, "this is a text file, not a picture."),
        ("filters --on photo.png -o photo.png", 2, "would overwrite the input 'photo.png'"),
        ("invert photo.png --layers relu9_1", 2, "vgg19 has no layer 'relu9_1'."),
        ("invert photo.png --layers ,", 2, "No layer: name at least one"),
        ("invert photo.png --layers relu5_1 --size 16 --size 17", 2, "is too small for these"),
        ("invert photo.png --backbone efficientnet-lite0 --layers logits --gram", 2, "no Gram mat"),
        ("invert photo.png --steps 0", 2, "0 is not in the range x>=1."),
        ("invert photo.png --tv-weight=-1", 2, "-1.0 is not in the range x>=0."),
        ("invert bad.jpg", 1, "this is a text file, not a picture."),
        ("invert photo.png -o photo.png", 2, "would overwrite the input 'photo.png'"),
        ("invert photo.png -o x.gif", 2, "'x.gif' names no kind of file"),
    ],
)
def test_errors(arguments, code, sentence, capsys):
    Path("bad.jpg").write_text("no picture")
    assert main(["inspect", *arguments.split()]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("cnnart: error: ")
    assert told.err.count("\n") == 1
    assert sentence in told.err
