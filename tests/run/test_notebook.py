"""In a notebook: the preview, and the example notebook from its first cell to its last."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

import cnnart
from cnnart import runtime
from cnnart.methods.stylize.config import PRESETS
from cnnart.run import notebook
from cnnart.run.notebook import LONG_SIDE, in_notebook
from cnnart.weights.vgg import load_vgg
from tests.helpers.tiny_vgg import tiny_weights

EXAMPLES = Path(__file__).parents[2] / "examples"
STYLE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))


class Display:
    """What Jupyter's front end would be shown in one place."""

    def __init__(self, first: Any) -> None:
        self.shown = [first]

    def update(self, what: Any, raw: bool = False) -> None:
        self.shown.append(what)


@pytest.fixture
def displays(monkeypatch: pytest.MonkeyPatch) -> list[Display]:
    """The places of a notebook whose kernel this process is."""
    monkeypatch.setattr(runtime, "load_vgg", lambda *_, **__: tiny_weights())
    found: list[Display] = []

    def display(what: Any, display_id: bool = False) -> Display:
        found.append(Display(what))
        return found[-1]

    ipython, in_it = ModuleType("IPython"), ModuleType("IPython.display")
    shell = SimpleNamespace(kernel=object())
    ipython.get_ipython, in_it.display = lambda: shell, display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", in_it)
    return found


def paint(**more: Any) -> Image.Image:
    photo = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    settings = {"preset": "draft", "size": 32, "steps": 3, "device": "cpu", "precision": "fp32"}
    return cnnart.stylize(photo, STYLE, **settings, **more)


def test_the_picture_so_far_is_shown(
    displays: list[Display], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "EVERY", 0.0)
    monkeypatch.setattr(notebook, "SHARE", 1e9)
    result = paint(progress=True)
    (place,) = displays
    *pictures, last = place.shown
    assert len(pictures) >= 3
    assert [picture.size for picture in pictures] == [(32, 24)] * len(pictures)
    assert pictures[-1].tobytes() == result.tobytes()
    assert pictures[0].tobytes() != result.tobytes()
    assert last == {"text/plain": ""}
    assert result._repr_png_().startswith(b"\x89PNG")


def test_it_costs_little(displays: list[Display]) -> None:
    paint(progress=True)
    (place,) = displays
    assert len(place.shown) == 2  # the first step, and nothing more within two seconds
    paint()
    assert len(displays) == 1


def test_a_large_picture_is_shown_smaller(displays: list[Display]) -> None:
    bar = notebook.NotebookBar(lambda image: image)
    bar._show(torch.zeros(1, 3, 600, LONG_SIDE * 2))
    assert displays[0].shown[0].size == (LONG_SIDE, 300)


def test_a_terminal_is_no_notebook(displays: list[Display], capsys: Any) -> None:
    assert in_notebook()
    sys.modules["IPython"].get_ipython = lambda: SimpleNamespace()  # type: ignore[attr-defined]
    assert not in_notebook()
    paint(progress=True)
    assert displays == []


def test_the_example_notebook_runs(
    displays: list[Display], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "load_vgg", load_vgg)
    monkeypatch.setitem(PRESETS, "draft", ((0, 4), (0, 2)))
    monkeypatch.chdir(EXAMPLES)
    before = sorted(EXAMPLES.iterdir())
    book = json.loads(Path("notebook.ipynb").read_text(encoding="utf-8"))
    assert (book["nbformat"], book["metadata"]["kernelspec"]["language"]) == (4, "python")
    names: dict[str, Any] = {}
    shown = []
    for cell in book["cells"]:
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        source = (
            "".join(cell["source"]).replace("(256, 171)", "(64, 43)").replace("steps=4", "steps=1")
        )
        *lines, last = source.splitlines()
        exec("\n".join(lines), names)
        try:
            shown.append(eval(last, names))  # as Jupyter shows a cell's last expression
        except SyntaxError:
            exec(last, names)
    pictures = [value for value in shown if isinstance(value, Image.Image)]
    assert len(pictures) == 5
    assert len({picture.tobytes() for picture in pictures}) == 5
    assert sorted(EXAMPLES.iterdir()) == before
