"""Every Python snippet in the documentation compiles, and what it takes from cnnart exists."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from dataclasses import fields

import pytest

import cnnart
from cnnart.errors import CnnartError
from cnnart.methods.fast.config import FastConfig
from cnnart.settings import make_config
from cnnart.video.config import ClipConfig
from tests.docs.pages import PAGES, ROOT, fences, name_of

SNIPPETS = [
    (f"{name_of(path)}:{number}", code)
    for path in PAGES
    for number, language, code in fences(path)
    if language == "python"
]
SETTINGS = {
    "stylize": cnnart.StylizeConfig,
    "texture": cnnart.TextureConfig,
    "dream": cnnart.DreamConfig,
    "fast_stylize": FastConfig,
    "stylize_clip": cnnart.StylizeConfig,
    "fast_stylize_clip": FastConfig,
    "dream_clip": cnnart.DreamConfig,
}


def check_snippet(code: str) -> None:
    """Raise for Python that does not compile, or a name or setting that cnnart does not have."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            for each in node.names:
                importlib.import_module(each.name)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            for each in node.names:
                getattr(module, each.name)
        elif isinstance(node, ast.Attribute) and _is_cnnart(node.value):
            getattr(cnnart, node.attr)
        elif isinstance(node, ast.Call) and _function(node) is not None:
            _check_call(str(_function(node)), node)


def _is_cnnart(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "cnnart"


def _function(call: ast.Call) -> str | None:
    """The name of the function of cnnart's that is called."""
    called = call.func
    return called.attr if isinstance(called, ast.Attribute) and _is_cnnart(called.value) else None


def _check_call(name: str, call: ast.Call) -> None:
    parameters = inspect.signature(getattr(cnnart, name)).parameters
    settings = {}
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg not in parameters:
            try:
                settings[keyword.arg] = ast.literal_eval(keyword.value)
            except ValueError:  # a variable
                settings[keyword.arg] = None
    if name.endswith("_clip"):
        of_clips = [field.name for field in fields(ClipConfig)]
        make_config(ClipConfig, {k: settings.pop(k) for k in of_clips if k in settings})
    if settings:
        known = [field.name for field in fields(SETTINGS[name])]
        assert not set(settings) - set(known), f"{name} has no {set(settings) - set(known)}"
        make_config(SETTINGS[name], settings)


@pytest.mark.parametrize(("where", "code"), SNIPPETS, ids=[where for where, _ in SNIPPETS])
def test_it_compiles_and_its_names_exist(where: str, code: str) -> None:
    check_snippet(code)


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 8


@pytest.mark.parametrize(
    "code",
    [
        "cnnart.stylize('a.jpg', 'b.jpg'",
        "import cnnart.jobs",
        "from cnnart.image.read import read_images",
        "cnnart.stylise('a.jpg', 'b.jpg')",
        "cnnart.stylize('a.jpg', 'b.jpg', strengths=0.5)",
        "cnnart.stylize('a.jpg', 'b.jpg', strength=2)",
        "cnnart.texture('a.jpg', tileable='z')",
        "cnnart.fast_stylize('a.jpg', 'udnie', time_budget=9)",
    ],
)
def test_the_check_refuses_what_python_would(code: str) -> None:
    with pytest.raises((SyntaxError, ImportError, AttributeError, AssertionError, CnnartError)):
        check_snippet(code)


def test_the_table_of_functions_names_their_parameters() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `cnnart\.(\w+)\((.*?)\)` \|(.*)\|(.*)\|$", text, re.MULTILINE)
    assert {name for name, *_ in rows} == {*SETTINGS, "styles"}
    for name, given, settings, beside in rows:
        parameters = inspect.signature(getattr(cnnart, name)).parameters
        named = [*filter(None, given.split(", ")), *re.findall(r"`(\w+)`", beside)]
        assert set(named) <= set(parameters), name
        if name == "fast_stylize":
            listed = set(re.findall(r"`(\w+)`", settings))
            assert listed == {field.name for field in fields(FastConfig)}
        elif name == "fast_stylize_clip":
            assert "those of `fast_stylize`" in settings
        elif name in SETTINGS:
            assert f"`cnnart.{SETTINGS[name].__name__}`" in settings
