"""Every command line in the documentation and in the help is one that cnnart takes."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cnnart.errors import CnnartError
from tests.docs.checker import check
from tests.docs.pages import (
    GENERATED,
    PAGES,
    ROOT,
    Line,
    cnnart_arguments,
    fences,
    help_lines,
    page_lines,
)

LINES = [line for path in PAGES for line in page_lines(path)] + list(help_lines())
# ``cnnart COMMAND -h`` is about any command.
CNNART_LINES = [line for line in LINES if re.search(r"\bcnnart(?! [A-Z]+\b)( |$)", line.text)]


@pytest.mark.parametrize("line", CNNART_LINES, ids=lambda line: f"{line.where} {line.text[:60]}")
def test_it_could_run(line: Line, tmp_path: Path) -> None:
    try:
        for arguments in cnnart_arguments(line.text):
            check(arguments, tmp_path, complete=line.complete)
    except (click.ClickException, CnnartError) as error:
        pytest.fail(f"{line.where}: {line.text}\n{getattr(error, 'message', error)}")


def test_there_are_command_lines_in_every_place() -> None:
    parsed = [line for line in CNNART_LINES if cnnart_arguments(line.text)]
    places = {re.split(r"[: ]", line.where)[0] for line in parsed}
    expected = {"README.md", "docs/stylize.md", "docs/dream.md", "docs/inspect.md", "cnnart"}
    assert expected <= places
    assert len([line for line in parsed if line.complete]) > 100


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_programs_beside_cnnart_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in page_lines(path):
        for target in re.findall(r"^make ([a-z-]+)", line.text):
            assert target in targets, line
        for module in re.findall(r"python -m (benchmarks\.[a-z_]+)", line.text):
            assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), line
        for script in re.findall(r"python ([a-z_]+/[a-z_]+\.py)", line.text):
            assert (ROOT / script).is_file(), line


def test_fences_are_of_three_kinds() -> None:
    for path in [*PAGES, GENERATED]:
        assert {language for _, language, _ in fences(path)} <= {"sh", "python", "text"}, path


GOOD = (
    "cnnart stylize photo.jpg --style night-swirls:2 --style painting.jpg --mask inverse:sky.png",
    "cat photo.jpg | cnnart stylize - --style river-dots -o - > out.png",
    "CNNART_DEBUG=1 cnnart dream photos/*.jpg --preset birds -o 'out/{parent}/{stem}.webp'",
    "$ uvx cnnart texture bark.jpg --tileable --preview-tiled 3x3",
    "torchrun --nproc-per-node 4 -m cnnart train-style a.jpg --photos photos/ -o b.safetensors",
    "cnnart fast-stylize photo.jpg --style two.safetensors:wave:2 --style two.safetensors:scream",
    "cnnart inspect layers my_nets:make_net --json",
    "cnnart weights fetch vgg16 --offline",
    "cnnart --version",
    "cnnart dream --list-presets",
)
BAD = {
    "cnnart stylise photo.jpg --style night-swirls": "No command",
    "cnnart stylize photo.jpg --style night-swirls --sizes 512": "No such option",
    "cnnart stylize photo.jpg": "Missing option",
    "cnnart stylize photo.jpg --style night-swirls --size big": "is no size",
    "cnnart stylize photo.jpg --style night-swirls --strength 2": "not in the range",
    "cnnart stylize photo.jpg --style night-swirls --color sepia": "is not one of",
    "cnnart stylize photo.jpg --style mosaic": "No style 'mosaic'",
    "cnnart stylize photo.jpg --style great-wave": "No style 'great-wave'",
    "cnnart stylize photo.jpg --style night-swirls --style-layers relu9_1": "no layer 'relu9_1'",
    "cnnart stylize photo.jpg --style night-swirls --backbone vgg18": "No network 'vgg18'",
    "cnnart stylize photo.jpg --style night-swirls -o - --json": "both want standard output",
    "cat photo.jpg | cnnart stylize - --style waves -o - > out.png": "No style 'waves'",
    "cnnart fast-stylize photo.jpg --style ink-wish": "No style 'ink-wish'",
    "cnnart fast-stylize photo.jpg --style great-wave --time-budget 9s": "No such option",
    "cnnart texture bark.jpg --tileable z": "",
    "cnnart texture bark.jpg --method weaving": "is not one of",
    "cnnart dream photo.jpg --preset clouds": "No dream preset 'clouds'",
    "cnnart dream photo.jpg --layer relu3_9": "no layer 'relu3_9'",
    "cnnart dream photo.jpg --loop": "",
    "cnnart train-style mosaic --photos photos/ -o a.safetensors": "mosaic",
    "cnnart styles show moziac": "No style 'moziac'",
    "cnnart export greatwave -o a.onnx": "No style 'greatwave'",
    "cnnart weights fetch resnet5": "No network 'resnet5'",
    "cnnart inspect filters --layer relu5_1": "alexnet has no layer 'relu5_1'",
    "cnnart inspect saliency photo.jpg --method magic": "is not one of",
    "cnnart inspect fool photo.jpg --to unicorns": "unicorns",
}


@pytest.mark.parametrize("text", GOOD)
def test_the_check_takes_what_cnnart_takes(text: str, tmp_path: Path) -> None:
    (arguments,) = cnnart_arguments(text)
    check(arguments, tmp_path)


@pytest.mark.parametrize("text", BAD)
def test_the_check_refuses_what_cnnart_refuses(text: str, tmp_path: Path) -> None:
    (arguments,) = cnnart_arguments(text)
    with pytest.raises((click.ClickException, CnnartError)) as refused:
        check(arguments, tmp_path)
    told = getattr(refused.value, "format_message", lambda: str(refused.value))()
    assert BAD[text] in told


def test_a_mention_may_leave_out_what_is_required_but_nothing_else(tmp_path: Path) -> None:
    check(["fast-stylize", "--engine", "compile"], tmp_path, complete=False)
    check(["inspect", "...", "--json"], tmp_path, complete=False)
    with pytest.raises(click.ClickException, match="No such option"):
        check(["fast-stylize", "--engines", "compile"], tmp_path, complete=False)
