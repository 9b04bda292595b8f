"""Names, and files that are none: what a file system has, and cnnart must live with."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from cnnart import files
from cnnart.errors import UsageError, in_words
from cnnart.files import (
    as_path,
    cache_folder,
    check_writable,
    identity,
    is_file,
    is_folder,
    is_there,
    json_line,
    key_of,
    obstacle,
    open_file,
    resolved,
    write_atomically,
)

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_that_begins_with_a_tilde(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    assert as_path("~/a.jpg") == Path("/home/me/a.jpg")
    assert as_path("~nobody-of-this-name/a.jpg") == Path("~nobody-of-this-name/a.jpg")
    assert as_path("~1.jpg") == Path("~1.jpg"), "as Word and Emacs call what they keep"
    Path("~").mkdir()
    Path("~/b.jpg").touch()
    assert is_file(as_path("~/b.jpg")), "a file of this very name comes first"


@pytest.mark.parametrize(("name", "why"), [("", "is empty"), ("a\0.jpg", "holds a NUL")])
def test_names_that_no_file_has(name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        as_path(name)


@posix
def test_without_a_home_the_cache_is_among_temporary_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CNNART_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # no passwd entry either
    assert cache_folder().is_absolute()
    assert cache_folder().name == f"cnnart-{os.getuid()}"
    with monkeypatch.context() as undone:  # a container of which nothing can be written
        undone.setattr(tempfile, "tempdir", None)
        undone.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nowhere"])
        assert cache_folder().is_absolute()
        with pytest.raises(FileNotFoundError) as found:
            tempfile.mkdtemp()
        assert "set TMPDIR to one that can" in str(in_words(found.value))
    monkeypatch.setenv("CNNART_CACHE", "/mine")
    assert cache_folder() == Path("/mine")


@posix
def test_links_that_lead_in_a_circle_are_told_and_crash_nothing(here: Path) -> None:
    Path("a").symlink_to("b")
    Path("b").symlink_to("a")
    Path("gone").symlink_to("nowhere.jpg")
    loop, gone = Path("a"), Path("gone")
    assert not any((is_there(loop), is_file(loop), is_folder(loop), is_file(gone)))
    assert "leads back to itself" in obstacle(loop)
    assert "a link to nowhere.jpg, which is not there" in obstacle(gone)
    assert isinstance(identity(loop), str)
    assert key_of(loop).startswith(str(resolved(here)))
    with pytest.raises(UsageError, match="leads back to itself"):
        check_writable(loop)
    with pytest.raises(OSError, match="leads back to itself"):
        write_atomically(loop, b"x")
    write_atomically(gone, b"x")
    assert Path("nowhere.jpg").read_bytes() == b"x", "a link to what is not there yet is followed"


def test_names_that_are_too_long() -> None:
    name = Path("x" * 300)
    assert not is_there(name)
    assert obstacle(name) == "the name is too long"
    with pytest.raises(UsageError, match=r"too long \(304 bytes, the file system allows \d+\)"):
        check_writable(Path("x" * 300 + ".png"))
    with pytest.raises(UsageError, match="too long"):
        check_writable(Path("new", "y" * 300, "a.png"))
    check_writable(Path("x" * 200 + ".png"))


@posix
def test_what_may_not_be_read_or_written(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("locked").mkdir()
    Path("locked/a.jpg").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: "locked" not in str(path))
    assert obstacle(Path("locked/a.jpg")) == "no permission to read it"
    with pytest.raises(UsageError, match="no permission to write in 'locked'"):
        check_writable(Path("locked/new/b.jpg"))
    with pytest.raises(UsageError, match="no permission to change that file"):
        check_writable(Path("locked/a.jpg"))

    def forbidden(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", forbidden)
    assert obstacle(Path("locked/a.jpg")) == "no permission"
    assert isinstance(identity(Path("locked/a.jpg")), str)


@posix
def test_pipes_sockets_and_devices_are_no_files_and_hang_nothing() -> None:
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name, why in (
            *(("pipe", "a pipe, which can be read only once"), ("socket", "a socket")),
            *(("/dev/null", "a device"), (".", "a folder")),
        ):
            assert why in obstacle(Path(name))
            with pytest.raises(OSError, match=r"pipe|device|folder|directory") as found:
                open_file(Path(name))
            assert in_words(found.value) is not None


@posix
def test_a_pipe_is_read_to_its_end_if_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("pipe")
    content = os.urandom(200_000)  # more than a pipe holds
    writer = threading.Thread(target=Path("pipe").write_bytes, args=[content])
    writer.start()
    with open_file(Path("pipe"), pipes=True) as stream:
        assert stream.read() == content
    writer.join()
    monkeypatch.setattr(files, "UNOPENED", 0.05)
    with pytest.raises(OSError, match="nobody wrote into the pipe"):
        open_file(Path("pipe"), pipes=True)
    silent = os.open("pipe", os.O_RDWR)  # somebody who never writes
    monkeypatch.setattr(files, "SILENT", 0.05)
    with pytest.raises(OSError, match="nothing came through"):
        open_file(Path("pipe"), pipes=True)
    monkeypatch.setattr(files, "MOST_PIPED", 10)
    os.write(silent, b"x" * 100)
    with pytest.raises(OSError, match="more comes through the pipe"):
        open_file(Path("pipe"), pipes=True)
    os.close(silent)


@posix
def test_writing_into_a_pipe() -> None:
    os.mkfifo("pipe")
    with pytest.raises(OSError, match="nobody reads"):
        write_atomically(Path("pipe"), b"x")
    content, found = os.urandom(200_000), []
    reader = threading.Thread(target=lambda: found.append(Path("pipe").read_bytes()))
    reader.start()
    for _ in range(500):
        try:
            write_atomically(Path("pipe"), content)
            break
        except OSError:
            threading.Event().wait(0.01)
    reader.join()
    assert found == [content]
    write_atomically(Path("/dev/null"), b"x")


@posix
def test_a_folder_that_was_deleted_under_the_process(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", gone)
    assert resolved(here / "a") == here.resolve() / "a"
    check_writable(here / "a.png")
    for use in (resolved, check_writable, key_of):
        with pytest.raises(UsageError, match="current folder does not exist any more"):
            use(Path("a.png"))
    assert obstacle(Path("a.png")) == "the current folder does not exist any more"


@posix
def test_a_run_in_a_deleted_folder_knows_whole_names_only(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_deleted", False)
    Path("a.jpg").touch()
    files.leave_deleted_folder()
    assert Path.cwd() == Path("/"), "where libraries can live"
    assert is_file(as_path(here / "a.jpg"))
    check_writable(here / "b.png")
    assert not is_folder(as_path("tmp")), "it would be /tmp"
    for use in (resolved, check_writable):
        with pytest.raises(UsageError, match="current folder does not exist any more"):
            use(Path("tmp"))


@posix
def test_json_is_valid_whatever_a_file_is_called() -> None:
    name = os.fsdecode(b"caf\xe9 \xe2\x82\xac.jpg")
    line = json_line({"path": name, "losses": [float("nan"), 1.5], "n": {name: (1,)}})
    facts = json.loads(line.encode("utf-8").decode("utf-8"))
    assert facts["path"] == "caf\\xe9 €.jpg"
    assert facts["losses"] == [None, 1.5]
    assert list(facts["n"]) == ["caf\\xe9 €.jpg"]


@posix
@pytest.mark.slow
def test_a_full_disk_leaves_no_part_behind(tmp_path: Path) -> None:
    """With a limit on the size of files, which fails a write like a full disk does."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from cnnart.files import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_atomically(Path('a.png'), bytes(5000))\n"
        "except OSError:\n    print('failed')\n"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(root)}
    )
    assert done.stdout == "failed\n", done.stderr
    assert list(tmp_path.iterdir()) == []
