"""The plain progress bar: for notebooks, programs, and terminals that cannot be redrawn."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cnnart
from cnnart.optim.steps import Step
from cnnart.run.bar import Bar, count_bar
from cnnart.run.report import Start
from tests.helpers.files import only_builtin_style, save_picture

START = Start("stylize", "a.jpg", "a.png", (48, 64), "", "cpu", "CPU", "fp32", 0, 1 << 30, 0)


def steps(count: int = 4) -> list[Step]:
    image = torch.zeros(1, 3, 4, 4)
    return [Step(k, count, {"style": 0.25}, image, (48, 64), k / 10) for k in range(1, count + 1)]


def test_it_shows_where_a_run_stands(capsys: pytest.CaptureFixture[str]) -> None:
    shown = io.StringIO()
    bar = Bar(file=shown, mininterval=0)
    bar.step(steps()[0])  # before any start: nothing to draw on
    assert shown.getvalue() == ""
    bar.start(START)
    for step in steps():
        bar.step(step)
    bar.saved(Path("a.png"), "result", 1.0)
    text = shown.getvalue()
    for fact in ("a.jpg", "4/4", "64 px", "style=0.25"):
        assert fact in text
    assert capsys.readouterr().out == "a.png\n"


def test_a_failure_or_the_end_closes_it() -> None:
    for end in (lambda bar: bar.failed("a.jpg", "no", 1), lambda bar: bar.stop()):
        shown = io.StringIO()
        bar = Bar(file=shown, mininterval=0)
        bar.start(START)
        bar.step(steps()[1])
        end(bar)
        assert shown.getvalue().endswith("\n")


def test_a_count_of_things(capsys: pytest.CaptureFixture[str]) -> None:
    bar = count_bar(3, "photo")
    bar.update(3)
    bar.close()
    assert "3/3" in capsys.readouterr().err


def test_python_callers_may_ask_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_picture("photo.png")
    only_builtin_style(monkeypatch, tmp_path / "builtin")
    settings = {"size": 32, "preset": "draft", "steps": 3, "precision": "fp32", "device": "cpu"}
    quiet = cnnart.stylize("photo.png", "mosaic", **settings)
    assert capsys.readouterr().err == ""
    shown = cnnart.stylize("photo.png", "mosaic", progress=True, **settings)
    assert "3/3" in capsys.readouterr().err
    assert shown.tobytes() == quiet.tobytes()


IN_A_KERNEL = """
import sys, types
ipython = types.ModuleType("IPython")
ipython.get_ipython = lambda: types.SimpleNamespace(kernel=1, config={"IPKernelApp": 1})
sys.modules["IPython"] = ipython
sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
sys.modules["ipywidgets"] = None  # not installed
from cnnart.run.bar import tqdm
print(tqdm.__name__)
"""


def test_a_notebook_without_widgets_has_a_bar_of_text_and_no_warning() -> None:
    made = subprocess.run([sys.executable, "-c", IN_A_KERNEL], capture_output=True, text=True)
    assert (made.stdout, made.stderr) == ("tqdm_asyncio\n", "")
