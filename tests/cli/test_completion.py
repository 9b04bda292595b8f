"""``cnnart completion``: what the shell is given, and where it is put."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cnnart.__main__ import main
from cnnart.cli import cli
from cnnart.cli.completion import FILES_TOO, SHELLS, VARIABLE, script_of


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for name in ("ZDOTDIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_clicks_and_offers_files(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"{VARIABLE}={shell}_complete" in script
    for _, after in FILES_TOO[shell]:
        assert after in script  # Click's script is still the one that was changed
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("shell", "name"),
    [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config/fish/completions/cnnart.fish")],
)
def test_it_is_installed_once(
    shell: str, name: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / name
    assert main(["completion", shell, "--install"]) == 0
    assert f"Added to {path}" in capsys.readouterr().out
    before = path.read_bytes()
    assert before
    assert main(["completion", shell, "--install"]) == 0
    assert f"{path} has it already" in capsys.readouterr().out
    assert path.read_bytes() == before


def test_what_stands_in_the_file_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = home / "dotfiles"
    real.write_text("alias ll='ls -l'  # no end of line")
    (home / ".bashrc").symlink_to(real)
    assert main(["completion", "bash", "--install"]) == 0
    lines = real.read_text().splitlines()
    assert lines[0] == "alias ll='ls -l'  # no end of line"
    assert lines[1].endswith('eval "$(cnnart completion bash)"')
    assert len(lines) == 2
    assert (home / ".bashrc").is_symlink()


def test_folders_that_are_named_are_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZDOTDIR", str(home / "z"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    assert main(["completion", "zsh", "--install"]) == 0
    assert main(["completion", "fish", "--install"]) == 0
    assert (home / "z" / ".zshrc").is_file()
    script = (home / "config" / "fish" / "completions" / "cnnart.fish").read_text()
    assert script.endswith(script_of("fish", cli))


def test_a_file_that_cannot_be_written_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".bashrc").mkdir()
    assert main(["completion", "bash", "--install"]) == 1
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "bug" not in told


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("cnnart sty", {"stylize", "styles"}),
        ("cnnart stylize --stren", {"--strength"}),
        ("cnnart stylize --preset d", {"draft"}),
        ("cnnart sweep stylize --color k", {"keep"}),
        ("cnnart sweep stylize --color style,k", {"style,keep"}),
    ],
)
def test_click_answers_the_shell(
    words: str,
    offered: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    monkeypatch.setattr("cnnart.__main__._silence_stdout", lambda: None)
    assert main([]) == 0
    found = capsys.readouterr().out.split()
    assert {item.removeprefix("plain,") for item in found} == offered


def test_an_unknown_shell_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in capsys.readouterr().err
