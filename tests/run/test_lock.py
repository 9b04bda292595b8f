"""Of two runs that would make the same result the second says so, whatever else each makes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.errors import CnnartError
from cnnart.run import lock as locks
from cnnart.run.lock import Lock
from tests.helpers.files import only_builtin_style, save_picture

HERE = ("--precision", "fp32", "--device", "cpu", "--size", "48", "--steps", "2")
STYLE = ("--style", "art.png", "--preset", "draft", "-o", "out/")
HOLD = """
import sys, time
from pathlib import Path
from cnnart.run.lock import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: tiny)
    for index, name in enumerate(("a.png", "b.png", "c.png", "art.png")):
        save_picture(name, seed=index)
    only_builtin_style(monkeypatch, tmp_path / "builtin")


def hold(name: str) -> subprocess.Popen[bytes]:
    """A process that makes this result."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, name], stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline().startswith(b"held")
    return process


def is_held(name: str) -> bool:
    try:
        with Lock(Path(name)):
            return False
    except CnnartError:
        return True


def test_a_stopped_run_holds_it_and_a_killed_one_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    process = hold("out/a-art.png")
    try:
        if hasattr(signal, "SIGSTOP"):
            process.send_signal(signal.SIGSTOP)
        assert main(["stylize", "a.png", *STYLE, *HERE]) == 1
        told = capsys.readouterr().err
        assert "Another run of cnnart is at work on 'out/a-art.png'" in told
        assert main(["stylize", "a.png", *STYLE, *HERE, "--dry-run"]) == 1
    finally:
        process.kill()
        process.communicate()
    assert list(Path("out").iterdir())  # what the killed one has left
    assert main(["stylize", "a.png", *STYLE, *HERE]) == 0
    assert [path.name for path in Path("out").iterdir()] == ["a-art.png"]


def test_runs_that_share_one_result_make_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    with Lock(Path("out/b-art.png")):
        assert main(["stylize", "a.png", "b.png", "c.png", *STYLE, *HERE]) == 3
    told = capsys.readouterr().err
    assert "b.png  Another run of cnnart is at work on 'out/b-art.png'" in told
    visible = sorted(p.name for p in Path("out").iterdir() if p.name[0] != ".")
    assert visible == ["a-art.png", "c-art.png"]
    assert main(["stylize", "a.png", "b.png", "c.png", *STYLE, *HERE]) == 0
    assert not [p.name for p in Path("out").iterdir() if p.name[0] == "."]


def test_every_result_is_held_while_it_is_made_and_free_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from cnnart.run.batch import Batch

    held, make = [], Batch._make

    def looked(self: Batch, task: Any, *more: Any) -> None:
        held.append([is_held(f"out/{name}-art.png") for name in "abc"])
        make(self, task, *more)

    monkeypatch.setattr(Batch, "_make", looked)
    assert main(["stylize", "a.png", "b.png", "c.png", *STYLE, *HERE]) == 0
    # The first one's is that of the whole run, of which there are not to be two.
    assert held == [[True, False, False], [True, True, False], [True, False, True]]


def test_of_many_that_begin_at_once_one_gets_it(tmp_path: Path) -> None:
    """Also where one begins at the moment another ends, and removes the file."""
    target, at_once, most, failed = tmp_path / "x.png", [0], [0], []
    counting = threading.Lock()

    def work() -> None:
        for _ in range(200):
            try:
                with Lock(target):
                    with counting:
                        at_once[0] += 1
                        most[0] = max(most[0], at_once[0])
                    with counting:
                        at_once[0] -= 1
            except CnnartError:
                continue
            except BaseException as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert most == [1]
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".lock")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link", "other user's"])
def test_what_is_in_its_place_keeps_nobody_out(kind: str, tmp_path: Path) -> None:
    lock = Lock(tmp_path / "x.png")
    if kind == "folder":
        lock.path.mkdir()
    elif kind == "pipe":
        os.mkfifo(lock.path)
    elif kind == "dangling link":
        lock.path.symlink_to("nowhere")
    else:
        lock.path.touch(0o444)
    with lock:
        assert not Path(tmp_path, "nowhere").exists()


def test_a_lock_that_may_only_be_read_is_kept_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's, in a folder that both may write in."""
    real = open

    def refused(path: Any, mode: str = "r", **more: Any) -> Any:
        if "a" in mode:
            raise PermissionError(13, "Permission denied")
        return real(path, mode, **more)

    with Lock(tmp_path / "x.png"):
        monkeypatch.setattr(locks, "open", refused, raising=False)
        assert is_held(str(tmp_path / "x.png"))


@pytest.mark.parametrize("errno", [1, 13, 38, 77, 95])  # no permission, no locks of several kinds
def test_where_there_are_no_locks_a_run_goes_without(
    errno: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno, os.strerror(errno))

    monkeypatch.setattr(locks, "_lock_file", refused)
    with Lock(Path("x.png")), Lock(Path("x.png")):
        pass
