"""A request in JSON is the command that the shell would make of the line that it shows."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from cnnart.cli import COMMANDS
from cnnart.errors import UsageError
from cnnart.studio.guard import Refused
from cnnart.studio.pictures import Pictures, safe_name
from cnnart.studio.request import read_request
from tests.helpers.files import save_picture


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    made = Pictures(1_000_000)
    yield made
    made.close()


@pytest.fixture
def ids(pictures: Pictures) -> dict[str, str]:
    """A photo, a style and a mask, as they were named at the start."""
    names = ("photo.png", "style.png", "mask.png")
    return {
        name.partition(".")[0]: pictures.add(save_picture(name), given=name).id for name in names
    }


def from_shell(line: str) -> Any:
    """The command that the shell makes of a line."""
    program, name, *words = shlex.split(line)
    assert program == "cnnart"
    command: click.Command = COMMANDS[name][0]()
    given = command.make_context(name, words).params
    if name in ("stylize", "fast-stylize"):
        from cnnart.cli import fast_stylize, options, stylize

        options.split(given)
        given.pop("refine", None), given.pop("save_style", None)
        module: Any = stylize if name == "stylize" else fast_stylize
        return module.command_of(**given)
    from cnnart.cli import dream, options

    options.split(given)
    for key in ("source", "sheet", "frames", "zoom", "rotate", "fps", "loop"):
        given.pop(key, None)
    return dream.command_of(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"command": "stylize", "styles": [{"name": "night-swirls"}]},
        {
            "command": "stylize",
            "styles": [{"picture": "style", "weight": 2.5, "mask": "mask"}, {"name": "ink-wash"}],
            "settings": {"strength": 0.7, "size": [48, 64], "color": "keep", "seed": 3},
        },
        {
            "command": "stylize",
            "styles": [{"name": "ink-wash"}],
            "settings": {"size": "20x10cm@100dpi", "preset": "draft", "steps": 4},
        },
        {
            "command": "fast-stylize",
            "styles": [{"name": "great-wave", "weight": 2}, {"name": "udnie"}],
            "settings": {"strength": 0.25, "stroke": 1.5, "size": 64, "color": "luma"},
        },
        {
            "command": "fast-stylize",
            "styles": [{"name": "great-wave"}],
            "settings": {"stroke": "pixels=2", "strength": 0.5},
        },
        {
            "command": "fast-stylize",
            "styles": [
                {"name": "great-wave", "mask": "inverse:class:golden retriever"},
                {"name": "udnie", "mask": "mask"},
            ],
        },
        {"command": "dream", "guide": "style", "mask": "mask", "settings": {"feather": 0.1}},
        {"command": "dream", "mask": "background"},
        {"command": "dream", "settings": {"preset": "birds", "layers": "relu3_3", "size": 64}},
    ],
)
def test_the_line_that_is_shown_makes_the_same_command(
    pictures: Pictures, ids: dict[str, str], given: dict[str, Any]
) -> None:
    given = {"photo": "photo", **given}

    def with_ids(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: with_ids(v) for k, v in value.items() if k != "settings"}
        if isinstance(value, list):
            return [with_ids(each) for each in value]
        return ids.get(value, value)

    asked = read_request({**with_ids(given), "settings": given.get("settings", {})}, pictures)
    line = asked.command_line(Path("out.png"))
    assert line.endswith("-o out.png")
    assert from_shell(line) == asked.command


def test_a_picture_that_stays_is_what_the_line_names(pictures: Pictures, ids: Any) -> None:
    place = pictures.place("my photo.png")
    save_picture(place)
    came = pictures.add(place)
    given = {"command": "texture", "photo": came.id}
    assert read_request(given, pictures).command_line() == "cnnart texture 'my photo.png'"
    kept = read_request(given, pictures, lambda known: pictures.kept(known, Path("out")))
    assert kept.command_line() == "cnnart texture 'out/my photo.png'"
    assert Path("out/my photo.png").read_bytes() == place.read_bytes()
    # The same again is the same file; another of its name gets another.
    assert pictures.kept(came, Path("out")).path == Path("out/my photo.png")
    other = pictures.place("my photo.png")
    save_picture(other, seed=5)
    assert pictures.kept(pictures.add(other), Path("out")).path == Path("out/my photo-2.png")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"command": "rm"}, "Unknown command 'rm'"),
        ({"stiles": []}, "Unknown key 'stiles' of a request. Did you mean styles?"),
        ({"styles": []}, "`styles` is a list of one to 8 styles"),
        ({"styles": [{"name": "night-swirl"}]}, "Did you mean night-swirls"),
        ({"styles": [{}]}, "an object with a `name`, or the id of a `picture`"),
        ({"styles": [{"name": "ink-wash", "weight": 0}]}, "above zero"),
        ({"styles": [{"name": "ink-wash", "size": 1}]}, "Unknown key 'size' of a style"),
        ({"settings": {"strength": 2}}, "out of range"),
        ({"settings": {"strenth": 1}}, "Did you mean strength"),
        ({"settings": {"size": "a lot"}}, "size"),
        ({"settings": 3}, "`settings` is an object"),
    ],
)
def test_what_makes_no_sense_is_told(
    pictures: Pictures, ids: dict[str, str], change: dict[str, Any], message: str
) -> None:
    given = {"command": "stylize", "photo": ids["photo"], "styles": [{"name": "ink-wash"}]}
    with pytest.raises(UsageError, match=message):
        read_request({**given, **change}, pictures)


def test_a_mask_needs_a_style_before_those_without(pictures: Pictures, ids: Any) -> None:
    styles = [{"name": "ink-wash"}, {"name": "sea-mosaic", "mask": ids["mask"]}]
    with pytest.raises(UsageError, match="with a mask come first"):
        read_request({"command": "stylize", "photo": ids["photo"], "styles": styles}, pictures)


def test_a_picture_that_went_is_told(pictures: Pictures, ids: dict[str, str]) -> None:
    with pytest.raises(Refused, match="No such picture"):
        read_request({"command": "texture", "photo": "0" * 16}, pictures)


def test_names_of_files_are_harmless() -> None:
    assert safe_name("../../x y.jpg") == "x y.jpg"
    assert safe_name("C:\\photos\\a.png") == "a.png"
    assert safe_name("--output.png") == "output.png"
    assert safe_name("") == "picture"
    assert safe_name(".png") == "png"
    assert safe_name("Müller & Co<1>.jpeg") == "Müller _ Co_1_.jpeg"
    assert len(safe_name("x" * 500 + ".jpg")) <= 81


def test_the_oldest_that_came_in_go(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnart.studio.pictures.MOST_PICTURES", 2)
    given = pictures.add(save_picture("given.png"), given="given.png")
    came = []
    for index in range(4):
        place = pictures.place("photo.png")
        save_picture(place, seed=index)
        came.append(pictures.add(place))
    assert len(list(pictures.folder.iterdir())) == 2
    with pytest.raises(Refused):
        pictures[came[0].id]
    assert pictures[came[3].id].path.is_file()
    pictures.remove(given.id)  # the user's own file stays, and stays known
    assert pictures[given.id].path.is_file()
