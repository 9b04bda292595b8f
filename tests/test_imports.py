"""What is imported when: nothing heavy for help, and of the methods only the one that is used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.files import cnnart_process, save_picture

LOADED = """
import json, sys
from cnnart.__main__ import main

code = main(sys.argv[1:])
print(json.dumps([code, sorted(name for name in sys.modules)]))
"""

# What takes seconds to import beside torch's own: torchvision is needed for its networks only, and
# sympy comes with torch's "meta" device and with gradients of anything but a scalar.
SLOW = {"torchvision", "sympy"}


def modules(*arguments: str) -> tuple[list[str], set[str]]:
    """Run a command line; the modules of cnnart that it has loaded, and all others."""
    process = cnnart_process(*arguments, code=LOADED)
    out, _ = process.communicate()
    code, names = json.loads(out.decode().splitlines()[-1])
    assert code == 0
    ours = [name for name in names if name.partition(".")[0] == "cnnart"]
    return ours, set(names) - set(ours)


@pytest.fixture(autouse=True)
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_and_version_load_next_to_nothing(arguments: list[str]) -> None:
    ours, others = modules(*arguments)
    assert set(ours) <= {
        "cnnart",
        "cnnart.__main__",
        "cnnart.cli",
        "cnnart.cli.group",
        "cnnart.errors",
        "cnnart.version",
    }
    assert not {"torch", "numpy", "PIL", "rich", "cloup"} & others


@pytest.mark.parametrize(
    "command",
    [
        "stylize",
        "texture",
        "dream",
        "train-style",
        "fast-stylize",
        "rerun",
        "styles",
        "serve",
        "studio",
    ],
)
def test_a_commands_help_does_not_load_torch(command: str) -> None:
    _, others = modules(command, "--help")
    assert not {"torch", "starlette", "uvicorn"} & others


@pytest.mark.parametrize(
    ("arguments", "most", "method"),
    [
        (["stylize", "--style", "ink-wash", "--steps", "1", "--preset", "draft"], 64, "stylize"),
        (["fast-stylize", "--style", "great-wave"], 65, "fast"),
        (["dream", "--steps", "1"], 67, "dream"),
    ],
)
def test_one_photo_loads_its_own_method_and_little_else(
    arguments: list[str], most: int, method: str
) -> None:
    """A reader who follows one photo has so many files to open; four of them
    tell it from a clip.
    """
    command, *options = arguments
    given = ["photo.png", "--size", "32", "-q", "-o", "out.png", "--device", "cpu"]
    ours, others = modules(command, *given, *options)
    assert len(ours) <= most
    methods = {name.split(".")[2] for name in ours if name.startswith("cnnart.methods.")}
    assert methods == {method}
    assert not SLOW & others


def test_a_classifier_does_not_load_torchvision() -> None:
    given = ["photo.png", "-q", "-o", "out.png", "--device", "cpu"]
    _, others = modules("inspect", "classify", *given)
    assert not SLOW & others
