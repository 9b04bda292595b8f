"""Standard streams that are closed, full or gone, and names that are no text."""

from __future__ import annotations

import ast
import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import cnnart
from cnnart import __main__ as program
from cnnart.__main__ import Unfailing, main, open_streams
from cnnart.cli.options import FileOptions, TalkOptions, check_options
from cnnart.errors import SOME_FAILED, UsageError, as_flags, in_words, on_one_line, reason
from cnnart.run.batch import BatchOptions, Outcomes
from cnnart.run.inputs import Source
from cnnart.run.journal import Journal
from cnnart.run.outputs import Task
from cnnart.run.report import JsonLines, Plain, Reporter, Summary
from tests.helpers.files import save_picture


class Full(io.StringIO):
    """As /dev/full."""

    def close_down(self) -> None:
        raise OSError(28, "No space left on device")

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_closed_streams_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    open_streams()
    assert sys.stdin is None, "what reads it has to say so"
    print("x")
    print("y", file=sys.stderr, flush=True)
    assert not sys.stdout.isatty()
    assert not sys.stderr.isatty()
    with pytest.raises(UsageError, match="standard output, which is closed"):
        check_options(FileOptions((), "-"), TalkOptions())
    assert main(["--version"]) == 0


def test_standard_error_that_cannot_be_written_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    assert main(["nonsense"]) == 2
    stream = Unfailing(SimpleNamespace(write=Full().write, flush=Full().close_down, encoding=""))
    assert stream.write("four") == 4
    stream.flush()
    assert stream.encoding == ""


@pytest.mark.parametrize("reporter", [Plain, JsonLines])
def test_a_full_standard_output_does_not_stop_the_work_and_is_told_at_the_end(
    reporter: type[Reporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    one = reporter()
    for name in ("a.png", "b.png"):
        one.saved(Path(name), "result", 1.0)
    with pytest.raises(OSError, match="No space left") as found:
        one.done(Summary(saved=2))
    assert str(in_words(found.value)).startswith("standard output: No space left on device.")


def test_a_reader_that_has_gone_is_met_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Gone())
    one = Plain()
    one.saved(Path("a.png"), "result", 1.0)
    with pytest.raises(BrokenPipeError):
        one.done(Summary(saved=1))
    assert main(["--version"]) == 1
    assert capsys.readouterr().err == ""


def test_where_the_shell_stands_may_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    left: list[bool] = []
    monkeypatch.setattr(os, "getcwd", gone)
    monkeypatch.setattr("cnnart.files.leave_deleted_folder", lambda: left.append(True))
    assert main(["--version"]) == 0
    assert left == [True]


def test_names_that_are_no_text_are_valid_json(capsys: pytest.CaptureFixture[str]) -> None:
    JsonLines().failed(os.fsdecode(b"\xff.jpg"), "no `size`", 1)
    assert json.loads(capsys.readouterr().out) == {
        "event": "failed",
        "input": "\\xff.jpg",
        "error": "no --size",
        "exit_code": 1,
    }


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "a.png"), "a.png: No space left on device. Free"),
        (PermissionError(13, "Permission denied", "a"), "a: no permission."),
        (OSError(36, "File name too long"), "The name is too long. Give the result a shorter"),
        (OSError(122, "Disk quota exceeded", "a"), "a: Disk quota exceeded. Free some space"),
        (OSError(5, "Input/output error", "a"), "a: input/output error: the disk, or"),
        (MemoryError(), "Not enough memory"),
        (RuntimeError("can't start new thread"), "Not enough memory"),
    ],
)
def test_what_the_world_does_is_one_line_and_no_bug(
    error: Exception,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("cnnart.cli.cli.main", fail)
    assert program.main(["info"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"cnnart: error: {line}".replace("`size`", "--size"))
    assert "bug" not in said


def test_a_bug_is_still_called_one() -> None:
    assert in_words(KeyError("x")) is None
    assert in_words(ValueError("x")) is None
    assert reason(ValueError("embedded null byte")) == "no file's name holds a NUL character"


def test_a_batch_goes_on_past_what_the_world_does(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = Outcomes(2, Reporter(), BatchOptions(), Journal())
    tasks = [Task(Source(Path(name), name), Path("o.png"), "png") for name in ("a.jpg", "b.jpg")]
    outcomes.failed(tasks[0], OSError(28, "No space left on device", "a.jpg"))
    outcomes.saved(tasks[1], "result", 1.0)
    assert outcomes.conclude() == SOME_FAILED
    assert "a.jpg  No space left on device. Free some space" in capsys.readouterr().err


# Names that are no text, or too much of it


@pytest.mark.parametrize(
    ("encoding", "name", "written"),
    [
        ("utf-8", "gr\u00fc\udcff.png", b"gr\xc3\xbc\xff.png"),
        ("ascii", "gr\udcc3\udcbc\udcff.png", b"gr\xc3\xbc\xff.png"),  # LC_ALL=C
        ("ascii", "gr\u00fc.png", rb"gr\xfc.png"),
        ("utf-8", "\ud800.png", rb"\ud800.png"),  # out of a record
        ("cp1252", "\u4e2d.png", rb"\u4e2d.png"),
    ],
)
def test_a_console_that_cannot_show_a_name(
    monkeypatch: pytest.MonkeyPatch, encoding: str, name: str, written: bytes
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    program._print_any_text()
    print(name, end="", flush=True)
    assert stream.buffer.getvalue() == written  # type: ignore[attr-defined]


def test_a_name_breaks_no_line_and_tells_the_terminal_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "a\nb\x1b[31m.png"
    Path(name).write_bytes(b"no picture")
    assert main(["inspect", "classify", name]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert r"a\nb\x1b[31m.png: this is a text file" in said
    Plain().warning(f"{name}: odd")
    JsonLines().warning(f"{name}: odd")
    caught = capsys.readouterr()
    assert caught.err == "cnnart: warning: a\\nb\\x1b[31m.png: odd\n"
    assert caught.out.count("\n") == 1
    Plain().saved(Path(name), "result", 1.0)
    assert capsys.readouterr().out == f"{name}\n", "a program reads it, that wants the file"


def test_what_a_library_puts_into_backquotes_is_no_flag() -> None:
    said = reason(RuntimeError("build `libjxl` first"))
    assert as_flags(f"It failed ({said}): see `max_memory`.") == (
        "It failed (build 'libjxl' first): see --max-memory."
    )


@pytest.mark.parametrize("value", ["abc", "0", "-1", "1.5", " ", "4,", "9" * 30])
def test_a_number_of_threads_that_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert main(["--version"]) == 0
    assert "OMP_NUM_THREADS" not in os.environ
    told = f"cnnart: warning: OMP_NUM_THREADS is {value!r}, which is no number of threads: "
    assert capsys.readouterr().err == (f"{told}it is left out.\n" if value.strip() else "")


@pytest.mark.parametrize("value", ["1", "4,2", " 2 "])
def test_a_number_of_threads_that_is_one(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert main(["--version"]) == 0
    assert os.environ["OMP_NUM_THREADS"] == value


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            "Not enough memory to load torch (libtorch_cpu.so: failed to map segment",
        ),
        (
            ImportError("libcudart.so.12: cannot open shared object file"),
            "A library cannot be loaded (libcudart.so.12: cannot open shared object file): install",
        ),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "The package torch is miss"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_no_bug(error: ImportError, says: str) -> None:
    assert str(in_words(error)).startswith(says)
    assert in_words(ImportError("cannot import name 'x'", name="cnnart.files")) is None


# What comes from outside, on a terminal


RAW = ("\x1b[31m", "\n", "\r", "\u202e", "\u2066", "\u2028", "\x9b2J")
# What may be printed as it is: text of ours, JSON, and what is one line already.
PLAIN = {"json_line", "json.dumps", "on_one_line", "as_flags", "script", "line.rstrip"}


def unescaped(tree: ast.AST) -> list[int]:
    """The lines of calls that print something from outside as it is."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in ("click.echo", "print"):
            continue
        for argument in node.args:
            maker = argument.func if isinstance(argument, ast.Call) else argument
            if not isinstance(argument, ast.Constant) and ast.unparse(maker) not in PLAIN:
                found.append(node.lineno)
    return found


def test_the_command_line_prints_nothing_from_outside_as_it_is() -> None:
    allowed = {
        "lines.py": 2,  # what the others use
        "presets.py": 1,  # a file's lines, their tabs kept
        "__init__.py": 1,  # help
    }
    left = {}
    for path in (Path(cnnart.__file__).parent / "cli").rglob("*.py"):
        lines = unescaped(ast.parse(path.read_text(encoding="utf-8")))
        if len(lines) > allowed.get(path.name, 0):
            left[path.name] = lines
    assert left == {}, "use say or say_path of cnnart/cli/lines.py"
    assert unescaped(ast.parse("click.echo(f'{name}')\nprint(path)\nprint('no')")) == [1, 2]


@pytest.mark.parametrize("raw", RAW)
def test_control_characters_are_shown_and_not_obeyed(raw: str) -> None:
    shown = on_one_line(f"a{raw}b")
    assert shown.isprintable()
    assert not shown.splitlines()[1:]
    assert shown.startswith("a\\")


def test_layers_and_classes_of_a_network_may_have_any_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("named_net.py").write_text(
        "from torch import nn\n"
        "Odd = type('Odd\\x1b[2J\\u202e', (nn.Conv2d,), {})\n"
        "def make():\n"
        "    net = nn.Sequential()\n"
        "    net.add_module('[/b]\\x1b[31m\\nx', Odd(3, 3, 1))\n"
        "    net.add_module('flat', nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))\n"
        "    net.classes = ['a\\x1b[31m', 'b\\r', ':smile: [/i]']\n"
        "    net.input_size = 16\n"
        "    return net\n",
        encoding="utf-8",
    )
    save_picture("p\u202e\x1b[1m.png")
    network = ("--backbone", "named_net:make")
    assert main(["inspect", "layers", "named_net:make"]) == 0
    assert r"[/b]\x1b[31m\nx  odd\x1b[2j\u202e" in capsys.readouterr().out
    for arguments in (
        ["classify", "p\u202e\x1b[1m.png", *network],
        ["localize", "p\u202e\x1b[1m.png", *network],
        ["saliency", "p\u202e\x1b[1m.png", *network, "--layer", "\x1b[2J"],
        ["neighbors", "p\u202e\x1b[1m.png", "--in", ".", *network],
    ):
        main(["inspect", *arguments])
        said = capsys.readouterr()
        for line in (said.out + said.err).splitlines():
            assert line.isprintable()


def test_commands_about_weights_and_presets_show_names_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "a\x1b[31m\u202e\n.pth"
    Path(name).write_bytes(b"no weights")
    Path("b.pth").write_bytes(b"no weights")
    for arguments in (
        ["weights", "import", name, "b.pth"],
        ["weights", "verify", name, "b"],
        ["weights", "path", name],
        ["presets", "show", name],
        ["presets", "remove", name],
        ["rerun", name],
        ["export", name, "-o", name],
        ["styles", "show", name],
    ):
        assert main(arguments) != 0
        said = capsys.readouterr()
        assert all(line.isprintable() for line in (said.out + said.err).splitlines())
