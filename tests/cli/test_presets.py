"""Presets of the user's own: kept from a command line, used, edited, listed, removed."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from cnnart.__main__ import main
from cnnart.cli import dream, fast_stylize, stylize, texture
from cnnart.commands.own_presets import preset_path
from tests.helpers.files import save_picture


@pytest.fixture(autouse=True)
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The commands that would have been run: their settings, styles and shared options."""
    runs: list[dict[str, Any]] = []

    def work_through(command: Any, tasks: Any, files: Any, run: Any, talk: Any) -> int:
        styles = (
            [(s.label if hasattr(s, "label") else s.name, s.weight) for s in command.styles]
            if hasattr(command, "styles")
            else []
        )
        runs.append({**vars(command.config), "styles": styles, **vars(files), **vars(run)})
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNART_CONFIG", str(tmp_path / "config"))
    for module in (stylize, dream, texture, fast_stylize):
        monkeypatch.setattr(module, "work_through", work_through)
    save_picture("photo.png")
    save_picture("art.png", seed=1)
    return runs


def keep(line: str, name: str = "mine") -> dict[str, Any]:
    """Keep a command line; the options of the file."""
    assert main([*line.split(), "--save-preset", name, "-q"]) == 0
    from cnnart.commands.own_presets import read_preset

    return dict(read_preset(name).options)


def write(text: str, name: str = "mine") -> Path:
    path = preset_path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def error(line: str, capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """What is said of a command line that is refused."""
    assert main(line.split()) == code
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "stylize photo.png -s ink-wash:2 -s art.png --strength 0.7 --size A4@240dpi --quality 80 "
        "--max-memory 4GB --content-layers relu3_1,relu4_2:0.5 --no-metadata --preset draft",
        "stylize photo.png -s ink-wash --init noise --seed 7 --time-budget 90s",
        "dream photo.png -l relu4_2,relu5_1:0.5 --layer relu3_3:-1 --channels 1-3 --neuron 0.5,0",
        "dream photo.png --preset birds --step-size 0.01",
        "texture photo.png --tileable --no-histogram --scale 2 --preview-tiled 3x2",
        "fast-stylize photo.png -s great-wave --stroke pixels=2 --color keep",
    ],
)
def test_a_kept_command_line_is_the_same_again(line: str, made: list[dict[str, Any]]) -> None:
    keep(line)
    assert main(f"{line.split()[0]} photo.png --preset mine".split()) == 0
    first, again = made
    assert first.pop("save_preset") == "mine"
    assert again.pop("save_preset") is None
    assert again == first


def test_a_file_that_people_can_read() -> None:
    keep("stylize photo.png -s ink-wash --strength .70 --size 512 --preset fine -o out.png")
    assert preset_path("mine").read_text(encoding="utf-8") == (
        "# A preset of cnnart, used by `cnnart stylize --preset mine`. Options are called as on "
        "the\n# command line, without the dashes; those that are given there win.\n"
        'command = "stylize"\n\n[options]\npreset = "fine"\nstyle = ["ink-wash"]\n'
        "strength = 0.7\nsize = 512\n"
    )


def test_files_are_kept_by_their_whole_paths(tmp_path: Path) -> None:
    save_picture("mask.png")
    kept = keep("stylize photo.png -s art.png:2 -s ink-wash --mask inverse:mask.png --init art.png")
    assert kept["style"] == [f"{tmp_path}/art.png:2", "ink-wash"]
    assert kept["mask"] == [f"inverse:{tmp_path}/mask.png"]
    assert kept["init"] == f"{tmp_path}/art.png"


def test_any_text_survives() -> None:
    path = save_picture('a "b" \\ \u00e9\U0001f600\x7f.png')
    assert main(["stylize", "photo.png", "-s", str(path), "--save-preset", "mine", "-q"]) == 0
    assert main(["stylize", "photo.png", "--preset", "mine"]) == 0


def test_what_belongs_to_one_run_is_not_kept() -> None:
    line = "stylize photo.png -s ink-wash -o out/ --fresh --skip-existing --debug --recursive"
    assert keep(line) == {"style": ["ink-wash"], "recursive": True}


def test_what_is_given_beside_it_wins(made: list[dict[str, Any]]) -> None:
    keep("stylize photo.png -s ink-wash -s river-dots --strength 0.7 --no-metadata --preset draft")
    line = "stylize photo.png --preset mine --strength 0.2 -s sea-mosaic --metadata all"
    assert main(line.split()) == 0
    assert made[-1]["strength"] == 0.2
    assert made[-1]["styles"] == [("sea-mosaic", 1.0)]
    assert made[-1]["metadata"] == "all"
    assert made[-1]["preset"] == "draft"
    keep("texture photo.png --no-histogram", "tex")
    assert main(["texture", "photo.png", "--preset", "tex", "--histogram"]) == 0
    assert made[-1]["histogram"] is True


def test_a_preset_with_changes_is_kept_whole() -> None:
    keep("stylize photo.png -s ink-wash --strength 0.7 --preset draft", "ink")
    kept = keep("stylize photo.png --preset ink --strength 0.2")
    assert kept == {"preset": "draft", "style": ["ink-wash"], "strength": 0.2}


def test_it_is_told_where_it_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dream", "photo.png", "--strength", "0.2", "--save-preset", "mine"]) == 0
    assert f"the preset 'mine' is kept: {preset_path('mine')}" in capsys.readouterr().err


# Names


def test_built_in_names_keep_their_meaning(
    capsys: pytest.CaptureFixture[str], made: list[dict[str, Any]]
) -> None:
    for name in ("fine", "Draft", "eyes"):
        said = error(f"stylize photo.png -s art.png --save-preset {name}", capsys)
        assert f"{name!r} is the name of a preset that comes with cnnart" in said
    write('command = "stylize"\n[options]\nstrength = 0.1\n', "draft")
    assert main(["stylize", "photo.png", "-s", "art.png", "--preset", "draft"]) == 0
    assert (made[-1]["strength"], made[-1]["preset"]) == (0.5, "draft")


@pytest.mark.parametrize("name", ["../x", "a.b", "-x", "", "x" * 65, "\u00e9"])
def test_what_is_no_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dream", "photo.png", "--seed", "1", f"--save-preset={name}"]) == 2
    assert "is no name for a preset" in capsys.readouterr().err
    assert not preset_path("mine").parent.exists()


def test_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    keep("stylize photo.png -s ink-wash", "ink")
    said = error("stylize photo.png -s art.png --preset inkk", capsys)
    assert "No stylize preset 'inkk'. Did you mean ink? There is draft, standard, fine, ink" in said
    said = error("stylize photo.png -s art.png --preset fien", capsys)
    assert "Did you mean fine?" in said
    said = error("fast-stylize photo.png -s great-wave --preset ikn", capsys)
    assert "No fast-stylize preset 'ikn'. --save-preset keeps one." in said
    said = error("dream photo.png --preset ink", capsys)
    assert "'ink' is one of `cnnart stylize`, not of `cnnart dream`" in said


def test_nothing_to_keep(capsys: pytest.CaptureFixture[str]) -> None:
    said = error("dream photo.png --save-preset mine -o out.png", capsys)
    assert "--save-preset keeps the options that are given, and there are none" in said


def test_nothing_is_kept_of_what_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    error("stylize photo.png -s nothing-like-it --save-preset mine", capsys)
    assert not preset_path("mine").exists()


# Edited files


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("strenght = 0.7", "there is no option 'strenght'. Did you mean strength?"),
        ("save-preset = 'x'", "there is no option 'save-preset'."),
        ("help = true", "there is no option 'help'."),
        ("strength = 7", "strength = 7: 7.0 is not in the range 0<=x<=1."),
        ("strength = 'much'", "strength = 'much': 'much' is not a valid float"),
        ("strength = [0.1, 0.2]", "one value is needed, not a list."),
        ("strength = true", "write a number or a text."),
        ("strength = 2020-01-01", "write a number or a text."),
        ("size = 'leter'", "Did you mean letter?"),
        ("each-style = 'yes'", "each-style = 'yes': write true or false."),
        ("preset = 'mine'", "only a preset that comes with cnnart can be in another."),
        ("color = 'blue'", "color = 'blue': 'blue' is not one of"),
    ],
)
def test_wrong_options(options: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(f'command = "stylize"\n[options]\n{options}\n')
    said = error("stylize photo.png -s art.png --preset mine", capsys)
    assert f"The preset 'mine' ({path}): " in said
    assert message in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("command = ", "damaged (Invalid value"),
        ("", "it does not say of which command it is"),
        ("command = 3", "command is to be a text and [options] a table"),
        ("command = 'stylize'\noptions = 3", "[options] a table"),
    ],
)
def test_damaged_files(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(text)
    said = error("stylize photo.png -s art.png --preset mine", capsys, 1)
    assert message in said
    assert f"mend {path}, or remove it by `cnnart presets remove mine`" in said
    assert main(["presets", "list"]) == 0
    assert "is damaged" in capsys.readouterr().out
    assert main(["presets", "remove", "mine"]) == 0


def test_what_is_no_file_is_no_preset(capsys: pytest.CaptureFixture[str]) -> None:
    folder = preset_path("folder")
    folder.mkdir(parents=True)
    preset_path("loop").symlink_to(preset_path("loop"))
    assert main(["presets", "list"]) == 0
    assert "folder" not in capsys.readouterr().out
    for name in ("folder", "loop"):
        assert main(["presets", "show", name]) == 2
        told = capsys.readouterr().err
        assert told == (
            f"cnnart: error: There is no preset {name!r} of your own. --save-preset keeps one.\n"
        )


def test_a_file_that_is_not_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    write("").write_bytes(b"command = '\xff'")
    assert "is damaged" in error("stylize photo.png -s art.png --preset mine", capsys, 1)


def test_edited_by_hand(made: list[dict[str, Any]]) -> None:
    write("command = 'stylize'\n[options]\nstyle = 'ink-wash'\nstyle_scale = 2\n")
    assert main(["stylize", "photo.png", "--preset", "mine"]) == 0
    assert made[-1]["styles"] == [("ink-wash", 1.0)]
    assert made[-1]["style_scale"] == 2


def test_a_folder_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNART_CONFIG", "photo.png")
    said = error("dream photo.png --seed 1 --save-preset mine", capsys, 1)
    assert "set CNNART_CONFIG to a folder that you can write to" in said


def test_a_name_that_is_no_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    name = b"a\xff.png".decode("utf-8", "surrogateescape")
    assert main(["dream", "photo.png", f"--guide={save_picture(name)}", "--save-preset=mine"]) == 2
    assert "cannot keep a name that is not UTF-8: rename the file" in capsys.readouterr().err


# cnnart presets


def test_list_show_remove(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "list"]) == 0
    assert "No presets yet" in capsys.readouterr().out
    keep("stylize photo.png -s ink-wash -s river-dots --strength 0.7", "ink")
    keep("dream photo.png --seed 3", "mine")
    capsys.readouterr()
    assert main(["presets", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "ink     stylize  style ink-wash + river-dots, strength 0.7",
        "mine    dream    seed 3",
    ]
    assert main(["presets", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[1]["options"] == {"seed": 3}
    assert rows[1]["path"] == str(preset_path("mine"))
    assert main(["presets", "show", "mine"]) == 0
    assert f"# {preset_path('mine')}\n" in capsys.readouterr().out
    assert main(["presets", "remove", "mine"]) == 0
    assert capsys.readouterr().out == f"{preset_path('mine')}\n"
    for command in ("show", "remove"):
        said = error(f"presets {command} inkk", capsys)
        assert "There is no preset 'inkk' of your own. Did you mean ink? There is ink." in said


def test_one_that_cannot_be_removed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep("dream photo.png --seed 3")

    def refused(path: Path) -> None:
        raise PermissionError(errno.EACCES, "denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    said = error("presets remove mine", capsys, 1)
    assert f"Cannot remove {preset_path('mine')}: no permission." in said
