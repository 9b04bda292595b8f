"""Sizes for print as pixels, and what becomes of them on the way to a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from cnnart import runtime
from cnnart.__main__ import main
from cnnart.errors import UsageError
from cnnart.methods.dream.config import VisualizeConfig
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.methods.texture.wrap import texture_size
from cnnart.print_sizes import parse_print_size, too_few_pixels
from tests.helpers.files import save_picture
from tests.helpers.tiny_vgg import tiny_weights


@pytest.mark.parametrize(
    ("text", "lying", "standing"),
    [
        ("60x40cm@300dpi", (4724, 6299), (4724, 3543)),
        ("8x10in@240dpi", (1440, 1920), (2400, 1800)),
        ("8in \u00d7 10in @ 240 ppi", (1440, 1920), (2400, 1800)),
        ("60cm@100dpi", (1772, 2362), (2362, 1772)),
        ("A4", (2480, 3307), (3307, 2480)),
        ("a4@150dpi", (1240, 1653), (1653, 1240)),
        ("Letter", (2475, 3300), (3300, 2475)),
        ("12MP", (3000, 4000), (4000, 3000)),
        ("0.03 megapixels", (150, 200), (200, 150)),
    ],
)
def test_a_photo_is_fitted_inside(text: str, lying: tuple[int, int], standing: object) -> None:
    size = parse_print_size(text)
    assert size.fitted(600, 800) == lying
    assert size.fitted(800, 600) == standing


def test_a_texture_fills_the_frame() -> None:
    assert texture_size((50, 60), "60x40cm@50dpi") == (787, 1181)
    assert texture_size((60, 50), "60x40cm@50dpi") == (787, 1181)
    assert texture_size((50, 60), "A4@50dpi") == (413, 585)  # paper lies as the exemplar does
    assert texture_size((60, 50), "A4@50dpi") == (585, 413)
    assert texture_size((50, 60), "0.03MP") == (158, 190)


def test_what_is_made_from_nothing_fills_it_too() -> None:
    assert VisualizeConfig(size="A4@50dpi").sides == (585, 413)
    assert VisualizeConfig(size="0.04MP").sides == (200, 200)


@pytest.mark.parametrize(
    ("text", "dpi"), [("A4", 300), ("5x4in@72.5dpi", 72.5), ("24MP", None), ("24MP@200dpi", 200)]
)
def test_dots_per_inch(text: str, dpi: float | None) -> None:
    assert parse_print_size(text).dpi == dpi


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("big", "'big' is no size: write 1024 (the long side), 1024x768, 60x40cm@300dpi, "),
        ("leter", "Did you mean letter?"),
        ("A11", "is no size"),
        ("60x40", "is no size"),
        ("60x40ft", "is no size"),
        ("0x40cm", "is no size"),
        ("0MP", "is no size"),
        ("-3cm", "is no size"),
        ("9" * 400 + "cm", "is no size"),
        ("A4@", "'' is no resolution: write @300dpi."),
        ("A4@300", "'300' is no resolution: write @300dpi."),
        ("A4@1dpi", "1 dots per inch are out of range: use 10 to 9600."),
    ],
)
def test_what_is_no_size(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_print_size(text)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["9999x3m@9600dpi", "9999999MP", "9999m"])
def test_a_config_refuses_what_no_format_holds(text: str) -> None:
    with pytest.raises(UsageError, match="is too large: 1000000 pixels at most"):
        StylizeConfig(size=text)


def test_a_photo_with_half_the_pixels_is_enough() -> None:
    assert too_few_pixels("A4", (100, 200), (200, 200)) is None
    line = too_few_pixels("A4", (1000, 1999), (2000, 2000))
    assert line is not None
    assert line.startswith("the photo has 2 of the 4 megapixels of A4: details finer than its own")


# On the command line


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime, "load_vgg", lambda *_, **__: tiny_weights())
    save_picture("photo.png", 40, 30)
    save_picture("art.png", 32, 32, seed=1)
    with Image.open("photo.png") as photo:
        photo.save("photo.png", dpi=(72, 72))


ON = ("--device", "cpu", "--precision", "fp32")


@pytest.mark.parametrize(
    ("arguments", "out", "size"),
    [
        ("stylize photo.png -s art.png --steps 1 --preset draft", "out.jpg", (48, 36)),
        ("fast-stylize photo.png -s great-wave", "out.png", (48, 36)),
        ("dream photo.png --layer relu1_1 --steps 1", "out.tif", (48, 36)),
        ("texture photo.png --method quilting --patch 9", "out.webp", (60, 36)),
        ("dream --from noise --layer relu1_1 --steps 1", "out.png", (60, 36)),
    ],
)
def test_a_print_in_its_size_with_its_dots_per_inch(
    arguments: str, out: str, size: tuple[int, int]
) -> None:
    given = [*arguments.split(), "--size", "5x3in@12dpi", "-o", out, "-q"]
    if given[0] != "fast-stylize":
        given += ON
    assert main(given) == 0
    with Image.open(out) as made:
        dpi = made.info.get("dpi") or (made.getexif()[282], made.getexif()[283])
        assert made.size == size
        assert [round(float(value)) for value in dpi] == [12, 12]


def test_megapixels_leave_the_photos_dots_per_inch() -> None:
    given = ["dream", "photo.png", "--layer", "relu1_1", "--steps", "1", *ON]
    assert main([*given, "--size", "0.0012MP", "-o", "out.png", "-q"]) == 0
    with Image.open("out.png") as made:
        assert made.size == (40, 30)
        assert round(made.info["dpi"][0]) == 72


def test_a_photo_with_too_little_is_told_and_a_print_is_made_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["dream", "photo.png", "--layer", "relu1_1", "--steps", "1", *ON]
    assert main([*given, "--size", "5x4in@16dpi", "-o", "out.png"]) == 0
    said = capsys.readouterr().err
    assert "photo.png: the photo has 0.0012 of the 0.0048 megapixels of 5x4in@16dpi" in said
    assert main(["rerun", "out.png", "-o", "again.png", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told[0]["size"] == [80, 60]
    assert Path("again.png").read_bytes() == Path("out.png").read_bytes()


def test_a_texture_is_no_photo_with_too_little(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["texture", "photo.png", "--method", "quilting", "--patch", "9", *ON]
    assert main([*given, "--size", "5x4in@16dpi", "-o", "out.png"]) == 0
    assert "megapixels" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("stylize photo.png -s art.png --size leter", "Did you mean letter?"),
        ("stylize photo.png -s art.png --size 1x1mm", "is too small to stylize"),
        ("inspect patches relu1_1 photo.png --size A4", "'A4' is no"),
    ],
)
def test_wrong_sizes(arguments: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments.split()) == 2
    assert message in capsys.readouterr().err
