"""The table of errors is what the source says, and few sentences have no test."""

from __future__ import annotations

import ast

from tools import make_error_table

WITHOUT_TEST = 1  # the general sentence of a number out of its range, which has no words of its own


def test_the_page_is_what_the_source_says() -> None:
    text = make_error_table.PAGE.read_text(encoding="utf-8")
    assert text == make_error_table.page(), "run: python tools/make_error_table.py"


def test_a_new_sentence_comes_with_its_test() -> None:
    left = make_error_table.untested()
    listed = "\n".join(f"{each.module}: {each.text}" for each in left)
    assert len(left) <= WITHOUT_TEST, f"sentences that no test has:\n{listed}"


def test_sentences_are_read_from_the_source() -> None:
    code = """
class CnnartError(Exception):
    exit_code = 1

class Wrong(CnnartError):
    exit_code = 2

class Worse(Wrong):
    pass

def why(name):
    if name:
        return f"The name {name!r} is odd."
    return "There is no name."

def use(name, count):
    raise Worse(why(name))
    raise CnnartError(f"{name}: {len(name)} of " "them cannot be." if name else str(count))
"""
    tree = ast.parse(code)
    assert make_error_table.exit_codes([tree]) == {"CnnartError": 1, "Wrong": 2, "Worse": 2}
    functions = {f.name: f for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)}
    raised = [n.exc.args[0] for n in ast.walk(tree) if isinstance(n, ast.Raise)]  # type: ignore
    assert [sorted(make_error_table.texts(node, functions)) for node in raised] == [
        ["The name {name} is odd.", "There is no name."],
        ["{name}: {len} of them cannot be."],
    ]


def test_a_sentence_is_tested_by_words_that_only_it_has() -> None:
    sentence = make_error_table.Sentence
    found = [
        sentence("Zebras cannot ever be striped like {name}.", "E", 1, "a.py"),
        sentence("Unheard of nonsense that nobody tests here.".replace("here", "ever"), "E", 1, ""),
    ]
    first, _ = make_error_table.tested(found)
    assert first.test == "tests/docs/test_error_table.py"


def test_what_is_filled_in_may_stand_between_the_words() -> None:
    (run,) = {r for r in make_error_table._runs("The `max_hue` {hue} is odd.") if "max" in r[:4]}
    assert run == "max-hue * is odd"
    assert make_error_table._has("raises match max-hue 9.5 is odd", run)
    assert not make_error_table._has("max-hue and something else that nobody ever saw is odd", run)
