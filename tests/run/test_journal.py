"""A run that is cut off goes on where it was, to the same bytes; and what else its files do."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.errors import CnnartError, UsageError
from cnnart.image.read import read_record
from cnnart.run import journal as journals
from cnnart.run import lock, saved_state
from cnnart.run.inputs import expand
from cnnart.run.journal import Journal, differences
from cnnart.run.outputs import Task, plan
from cnnart.run.saved_state import DamagedState, read_state, write_state
from tests.helpers.fast import saved
from tests.helpers.files import cnnart_process, only_builtin_style, save_picture

HERE = ("--precision", "fp32", "--device", "cpu")
STYLE = ("-s", "art.png", "--preset", "draft", "--size")
STYLIZE = ("stylize", "b.png", "a.png", *STYLE, "64", "--steps", "2", "-o", "out/")
ONE = ("stylize", "a.png", *STYLE, "64", "--steps", "8", "--optimizer", "adam", "-o", "out.jpg")
GRAM = ("texture", "art.png", "--method", "gram", "--preset", "draft", "--size", "64")
LADDER = ("texture", "art.png", "--ladder", "--layers", "relu1_1,relu2_1", "--size", "48")
DREAM = ("dream", "a.png", "--layer", "relu3_3", "--size", "180", "--steps", "3", "-o", "out/")
RUNS = {
    "stylize": ("stylize", "a.png", *STYLE, "192", "--steps", "3", "-o", "out/"),
    "two": STYLIZE,
    "adam": ONE,
    "dream": DREAM,
    "neural": GRAM,
    "ladder": (*LADDER, "--steps", "3"),
    "quilting": ("texture", "art.png", "--method", "quilting", "--size", "90"),
    "efros": ("texture", "art.png", "--method", "efros-leung", "--size", "24", "--tileable"),
}
LATER = 5  # steps between two times that what stands is kept


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Any) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("CNNART_DEBUG", raising=False)
    monkeypatch.setattr(engine, "load_vgg", lambda *_, **__: tiny)
    save_picture("a.png")
    save_picture("b.png", 56, 48, seed=1)
    save_picture("art.png", seed=2)
    only_builtin_style(monkeypatch, tmp_path / "builtin")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands is kept after each step, and each result is noted."""
    for name in ("FIRST", "EVERY", "SHARE"):
        monkeypatch.setattr(journals, name, 0)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # which takes long


def hidden(folder: str = ".") -> list[str]:
    return sorted(p.suffix for p in Path(folder).iterdir() if p.name.startswith(".cnnart-"))


def results() -> dict[str, bytes]:
    inputs = {"a.png", "b.png", "art.png"}
    return {
        str(path): path.read_bytes()
        for path in sorted(Path().rglob("*"))
        if path.is_file() and path.name not in inputs and not path.name.startswith(".")
    }


def each_step(monkeypatch: pytest.MonkeyPatch, do: Callable[[int], None]) -> None:
    """Call ``do`` with the number of each step, after it has been kept."""
    keep, count = Journal.keep, [0]

    def counted(self: Journal, *given: Any, **more: Any) -> bool:
        kept = keep(self, *given, **more)
        count[0] += 1
        do(count[0])
        return kept

    monkeypatch.setattr(Journal, "keep", counted)


@pytest.mark.parametrize("name", RUNS)
def test_what_a_kill_leaves_is_gone_on_with_to_the_same_bytes(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at_once: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A kill leaves the files as they are: they are copied at some of the steps."""
    command, killed = (*RUNS[name], *HERE), {}

    def look(step: int) -> None:
        killed[step] = tmp_path / f"killed-{step}"
        shutil.copytree(Path(), killed[step])

    with monkeypatch.context() as patch:
        each_step(patch, look)
        assert main(list(command)) == 0
    expected = results()
    assert expected
    assert hidden("out" if Path("out").is_dir() else ".") == []
    capsys.readouterr()
    for step in {1, len(killed) // 2, len(killed)}:
        monkeypatch.chdir(killed[step])
        steps = 0

        def count(_: int) -> None:
            nonlocal steps
            steps += 1

        with monkeypatch.context() as patch:
            each_step(patch, count)
            assert main(list(command)) == 0
        assert results() == expected
        assert "going on" in capsys.readouterr().err
        assert steps <= len(killed) - step + LATER  # what was kept is not made again


def test_a_short_run_leaves_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "write_atomically", lambda *_: pytest.fail("written"))
    assert main([*STYLIZE, *HERE]) == 0
    assert hidden("out") == []


def test_a_batch_goes_on_after_its_finished_results(
    monkeypatch: pytest.MonkeyPatch, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose_power(step: int) -> None:
        if Path("out/b-art.png").exists():
            raise KeyboardInterrupt  # as the second Ctrl-C does

    command = [*STYLIZE, *HERE]
    with monkeypatch.context() as patch:
        each_step(patch, lose_power)
        assert main(command) == 130
    assert hidden("out") == [".journal", ".state"]
    before = Path("out/b-art.png").stat().st_mtime_ns
    capsys.readouterr()
    assert main(command) == 0
    told = capsys.readouterr()
    assert "going on with an unfinished run: 1 of 2 results are there" in told.err
    assert told.out.split() == ["out/a-art.png"]
    assert Path("out/b-art.png").stat().st_mtime_ns == before
    assert hidden("out") == []
    assert main(command) == 0  # all anew: nothing is unfinished
    assert capsys.readouterr().out.split() == ["out/b-art.png", "out/a-art.png"]


def interrupted(monkeypatch: pytest.MonkeyPatch, command: list[str], number: int) -> int:
    with monkeypatch.context() as patch:
        each_step(patch, lambda step: signal.raise_signal(number) if step == 3 else None)
        return main(command)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_saves_the_picture_so_far_and_the_same_command_goes_on(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not hasattr(signal, name):
        pytest.skip("not on this system")
    if signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
        pytest.skip("ignored here, as nohup has it")
    command = [*ONE, *HERE, "--no-metadata"]
    assert main(command) == 0
    expected = results()
    assert interrupted(monkeypatch, command, getattr(signal, name)) == 130
    assert results() != expected
    error = capsys.readouterr().err
    assert "interrupted; the picture so far is out.jpg" in error
    assert "stopped at step 4 of 8: the same command goes on from there (--fresh" in error
    assert hidden() == [".journal", ".state"]
    # Without a record nothing in the picture tells that it is unfinished, but the journal does.
    assert main([*command, "--skip-existing"]) == 0
    assert "going on from step 4 of " in capsys.readouterr().err
    assert results() == expected
    assert hidden() == []


def test_an_ignored_sighup_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(signal, "SIGHUP"):
        pytest.skip("not on this system")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert interrupted(monkeypatch, [*ONE, *HERE], signal.SIGHUP) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_settings_are_refused_with_what_changed_unless_fresh(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*ONE, *HERE]
    assert interrupted(monkeypatch, command, signal.SIGINT) == 130
    before = Path("out.jpg").read_bytes()
    capsys.readouterr()
    assert main([*command, "--strength", "0.7", "--seed", "3"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--strength was 0.5, now 0.7; --seed was 0, now 3" in error
    assert "or --fresh to begin anew" in error
    assert Path("out.jpg").read_bytes() == before
    save_picture("art.png", seed=5)
    assert main(command) == 2
    assert "art.png is not the art.png that it was" in capsys.readouterr().err
    assert main([*command, "--strength", "0.7", "--fresh"]) == 0
    assert hidden() == []


def test_less_memory_is_no_other_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*ONE, *HERE]
    assert interrupted(monkeypatch, command, signal.SIGINT) == 130
    assert main([*command, "--max-memory", "3GB"]) == 0
    assert "going on from step 4" in capsys.readouterr().err


def in_place_of(path: Path, kind: str) -> None:
    """What is no file, under a name that one is looked for."""
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(Path("b.png").absolute())
    elif kind == "loop":
        path.symlink_to(path.name)
    elif hasattr(os, "mkfifo"):
        os.mkfifo(path)
    else:
        pytest.skip("needs named pipes")


@pytest.mark.parametrize("suffix", [".journal", ".state"])
@pytest.mark.parametrize(
    "damage", ["empty", "cut", "foreign", "flipped", "nested", "folder", "pipe", "link", "loop"]
)
def test_a_damaged_file_is_one_line_and_the_work_begins_anew(
    suffix: str,
    damage: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = [*ONE, *HERE]
    assert main(command) == 0
    expected = results()
    assert interrupted(monkeypatch, command, signal.SIGINT) == 130
    path = next(p for p in Path().iterdir() if p.suffix == suffix)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[-3] ^= 255
    kinds = {"empty": b"", "cut": data[: len(data) // 2], "foreign": b'{"a": 1}', "flipped": data}
    kinds["nested"] = b"[" * 100_000
    if damage in kinds:
        path.write_bytes(kinds[damage])
    else:
        path.unlink()
        in_place_of(path, damage)
    capsys.readouterr()
    assert main(command) == 0
    error = capsys.readouterr().err
    assert error.startswith(f"cnnart: warning: {path} ")
    assert error.count("begun anew" if suffix == ".state" else "begins anew") == 1
    assert results() == expected


def test_a_photo_that_has_changed_is_told_and_its_picture_begun_anew(
    monkeypatch: pytest.MonkeyPatch, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*STYLIZE, *HERE]

    def cut_off(step: int) -> None:
        if Path("out/b-art.png").exists():
            raise KeyboardInterrupt

    for name in ("a.png", "b.png"):
        shutil.rmtree("out", ignore_errors=True)
        with monkeypatch.context() as patch:
            each_step(patch, cut_off)
            assert main([*command, "--fresh"]) == 130
        save_picture(name, seed=7)
        capsys.readouterr()
        assert main(command) == 0
        told = "b.png has changed since its result was made: it is made anew."
        if name == "a.png":
            told = "is not used, as a.png has changed since: the picture is begun anew."
        assert told in capsys.readouterr().err
    found = results()
    assert main([*command, "--fresh"]) == 0
    assert results() == found


def test_a_photo_that_is_gone_fails_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        each_step(patch, lambda step: Path("a.png").unlink(missing_ok=True))
        assert main([*STYLIZE, *HERE]) == 3
    error = capsys.readouterr().err
    assert "bug" not in error
    assert "a.png  there is no such file" in error
    assert list(results()) == ["out/b-art.png"]
    assert hidden("out") == []  # it was short


def test_after_a_run_with_failures_only_these_are_made_and_other_settings_are_no_trouble(
    monkeypatch: pytest.MonkeyPatch, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*STYLIZE, *HERE]
    photo = Path("a.png").read_bytes()
    Path("a.png").write_text("no picture")
    assert main(command) == 3
    assert hidden("out") == [".journal"]
    Path("a.png").write_bytes(photo)
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out.split() == ["out/a-art.png"]
    Path("a.png").write_text("no picture")
    assert main(command) == 3
    assert main([*command, "--seed", "4"]) == 3
    assert json.loads(str(read_record("out/b-art.png")))["settings"]["seed"] == 4


def test_what_cannot_be_kept_is_told_once_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(saved_state, "write_state", full)
    assert main([*ONE, *HERE]) == 0
    error = capsys.readouterr().err
    assert error.count("cannot be kept (No space left on device): the run goes on") == 1
    assert hidden() == []


def test_a_full_disk_at_the_result_leaves_what_the_next_run_goes_on_from(
    monkeypatch: pytest.MonkeyPatch, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*ONE, *HERE]
    assert main(command) == 0
    expected = results()
    Path("out.jpg").unlink()

    def full(target: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    with monkeypatch.context() as patch:
        patch.setattr("cnnart.image.write.write_atomically", full)
        assert main(command) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not Path("out.jpg").exists()
    assert main(command) == 0
    assert "going on from step" in capsys.readouterr().err
    assert results() == expected


def test_a_folder_removed_meanwhile_is_made_again(
    monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    command = [*RUNS["dream"], *HERE]
    assert main(command) == 0
    expected = results()
    with monkeypatch.context() as patch:
        each_step(patch, lambda step: shutil.rmtree("out") if step == 3 else None)
        assert main(command) == 0
    assert results() == expected
    assert hidden("out") == []


# Each style by itself


def test_every_photo_in_every_style(
    monkeypatch: pytest.MonkeyPatch, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture("in/x/a.png")
    save_picture("in/b.png", seed=1)
    command = ["stylize", "in", "-r", "--each-style", "-s", "art.png", "-s", "mosaic", "-o", "out"]
    command += ["--size", "48", "--preset", "draft", "--steps", "2", *HERE]
    assert main(command) == 0
    names = ["out/b-art.png", "out/x/a-art.png", "out/b-mosaic.png", "out/x/a-mosaic.png"]
    assert capsys.readouterr().out.split() == names
    record = json.loads(str(read_record("out/x/a-mosaic.png")))
    assert [style["builtin"] for style in record["styles"]] == ["mosaic"]
    assert record["settings"]["strength"] == 0.6  # as this style recommends
    assert json.loads(str(read_record("out/x/a-art.png")))["settings"]["strength"] == 0.5


def test_in_a_damaged_style_photos_fail_and_in_the_others_they_are_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("torn.png").write_bytes(Path("art.png").read_bytes()[:300])
    command = ["stylize", "a.png", "b.png", "--each-style", "-s", "torn.png", "-s", "art.png"]
    command += ["--size", "48", "--preset", "draft", "--steps", "2", *HERE, "-o", "out/"]
    assert main(command) == 3
    assert sorted(results()) == ["out/a-art.png", "out/b-art.png", "torn.png"]
    error = capsys.readouterr().err
    assert "2 failed, 2 saved" in error
    assert "a.png in torn  torn.png: " in error


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["-o", "x.png"], "2 pictures cannot go into the one file 'x.png'"),
        (["-o", "{stem}.png"], "would both become 'a.png'"),
        (["-o", "out-{stem}.png"], "add {style} to the output pattern"),
        (["-o", "-"], "Only one picture fits on standard output, not 2."),
        (["-s", "x/art.png"], "rename one of the two styles"),
        (["--mask", "a.png"] * 3, "3 masks for 2 styles"),
    ],
)
def test_names_that_cannot_be_told_apart_are_refused(
    more: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_picture("x/art.png")
    command = ["stylize", "a.png", "--each-style", "-s", "art.png", "-s", "mosaic", *more]
    assert main(command) == 2
    assert sentence in capsys.readouterr().err


def test_fast_styles_each_by_itself_go_on_too(
    monkeypatch: pytest.MonkeyPatch, at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(Path("nets.safetensors"), "moss", "waves", seed=3)
    command = ["fast-stylize", "a.png", "b.png", "--each-style", "-o", "out/", *HERE]
    command += ["-s", "nets.safetensors:moss", "-s", "nets.safetensors:waves"]
    assert main(command) == 0
    expected = {name: data for name, data in results().items() if name.startswith("out")}
    assert sorted(expected) == [f"out/{p}-{s}.png" for p in "ab" for s in ("moss", "waves")]
    finished = Journal.finished

    def cut_off(self: Journal, task: Task, entry: Any) -> None:
        finished(self, task, entry)
        if len(self._whole) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "finished", cut_off)
        assert main(command) == 130
    assert hidden("out") == [".journal"]
    capsys.readouterr()
    assert main(command) == 0
    told = capsys.readouterr()
    assert "3 of 4 results are there" in told.err
    assert told.out.split() == ["out/b-waves.png"]
    assert {name: Path(name).read_bytes() for name in expected} == expected


# The files themselves


def tasks(*names: str) -> list[Task]:
    return plan(expand(names), "out/", style="s")


def test_two_runs_of_the_same_results_are_told_apart() -> None:
    with Journal(tasks("a.png")):
        assert hidden("out") == [".lock"]
        with Journal(tasks("b.png")):  # other results in the same folder
            pass
        with pytest.raises(CnnartError, match="Another run of cnnart is at work on"):
            Journal(tasks("a.png")).__enter__()
    assert not Path("out").exists()  # nothing came into it
    with Journal(tasks("a.png")):
        pass


def test_nothing_is_kept_for_what_is_no_file(tmp_path: Path) -> None:
    source = expand(["a.png"])
    with Journal(plan(source, "-", style="s")) as journal:
        assert not journal.is_whole(plan(source, "-", style="s")[0])
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe.png")
        with Journal(plan(source, "pipe.png", style="s")):
            assert hidden() == []


def test_without_permission_it_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(lock, "_lock_file", refused)
    with Journal(tasks("a.png")) as journal:
        assert not journal.goes_on


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((("seconds",), None), (("rate",), "x"), (("index",), -5), (("tile",), "x")),
        *((("memory", "optimizer"), "y" * 5000), (("memory", "tile"), "\0")),
        *((("levels", 0, 1), None), (("level",), {}), (("levels",), [])),
    ],
)
def test_a_state_that_is_none_of_ours_is_told_when_it_shows(
    place: tuple[Any, ...],
    value: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of another version, say, with the checksum right; perhaps after some steps."""
    command = [*ONE, *HERE]
    assert main(command) == 0
    expected = results()
    assert interrupted(monkeypatch, command, signal.SIGINT) == 130
    path = next(p for p in Path().iterdir() if p.suffix == ".state")
    facts, state = read_state(path)
    within: Any = state
    for key in place[:-1]:
        within = within[key]
    within[place[-1]] = value
    write_state(path, facts, state)
    capsys.readouterr()
    assert main(command) == 0
    error = capsys.readouterr().err
    assert error.count(f"{path} cannot be used: the picture is begun anew") == 1
    assert all(len(line) < 300 for line in error.splitlines())
    assert results() == expected
    assert hidden() == []


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "loop"])
def test_what_lies_where_a_state_is_written_is_not_written_into(kind: str, tmp_path: Path) -> None:
    """A link, say, in a folder that others may write in."""
    photo = Path("b.png").read_bytes()
    in_place_of(tmp_path / "x.state.part", kind)
    if kind == "folder":
        with pytest.raises(OSError, match=r"x\.state\.part"):
            write_state(tmp_path / "x.state", {"target": "a"}, STATE)
    else:
        write_state(tmp_path / "x.state", {"target": "a"}, STATE)
        assert read_state(tmp_path / "x.state")[0] == {"target": "a"}
    assert Path("b.png").read_bytes() == photo


def test_what_a_setting_was_is_told_in_a_few_words() -> None:
    deep: Any = "x" * 10_000
    for _ in range(400):
        deep = [deep]
    for value in (deep, "y" * 10_000, 10**400, {"name": "z" * 10_000}):
        (told,) = differences({"seed": value}, {"seed": 0})
        assert len(told) < 150


STATE = {
    "numbers": [1, 0.1, None, True, "text"],
    "nested": {"half": torch.randn(3, 5).bfloat16(), "scalar": torch.tensor(2.5).double()},
    "planes": [torch.arange(6).view(2, 3), torch.zeros(0, 3), torch.ones(2, dtype=torch.bool)],
    "best": float("inf"),
}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    write_state(tmp_path / "x.state", {"target": "a"}, STATE)
    facts, found = read_state(tmp_path / "x.state")
    assert facts == {"target": "a"}
    assert found["numbers"] == STATE["numbers"]
    assert found["best"] == float("inf")
    for name in ("half", "scalar"):
        assert torch.equal(found["nested"][name], STATE["nested"][name])
        assert found["nested"][name].dtype == STATE["nested"][name].dtype
    assert all(map(torch.equal, found["planes"], STATE["planes"]))
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x.state"]


def test_a_state_damaged_anywhere_is_known_as_such(tmp_path: Path) -> None:
    path = tmp_path / "x.state"
    write_state(path, {}, STATE)
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        torn = bytearray(data)
        torn[place] ^= 1
        path.write_bytes(torn if place % 2 else data[:place])
        with pytest.raises(DamagedState):
            read_state(path)


def test_a_state_for_which_there_is_no_space_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="No space left"):
        write_state(tmp_path / "x.state", {}, STATE)
    assert not (tmp_path / "x.state").exists()


def test_differences_are_told_in_words() -> None:
    then = {
        "settings": {"size": None, "layers": {"relu1_1": 1.0}, "steps": 3},
        "styles": [{"name": "x", "path": "x", "sha256": "1", "weight": 1.0}],
        "each": {"a": {"seed": 1}, "b": {"seed": 2}},
    }
    now = {
        "settings": {"size": 512, "layers": {"relu1_1": 0.5}, "steps": 3},
        "styles": [{"name": "x", "path": "elsewhere/x", "sha256": "1", "weight": 2.0}],
        "each": {"a": {"seed": 1}, "c": {"seed": 3}},
    }
    assert list(differences(then, now)) == [
        "`size` was not given, now 512",
        "relu1_1 was 1.0, now 0.5",
        "`weight` was 1.0, now 2.0",
    ]
    assert list(differences({"styles": [{"name": "x"}]}, {"styles": []})) == [
        "`styles` was x, now none"
    ]


def test_entering_with_other_settings_is_wrong_usage(at_once: None) -> None:
    todo = tasks("a.png", "b.png")
    with Journal(todo, {"settings": {"seed": 1}}) as journal:
        save_picture("out/a-s.png")
        journal.finished(todo[0], journal.entry(todo[0], None))
        journal.close(interrupted=True, failed=False)
    with pytest.raises(UsageError, match="`seed` was 1, now 2"):
        Journal(todo, {"settings": {"seed": 2}}).__enter__()
    with Journal(todo, {"settings": {"seed": 1}}) as journal:
        assert journal.goes_on
        assert journal.is_whole(todo[0])
        Path("out/a-s.png").write_bytes(b"torn")
        assert not journal.is_whole(todo[0])


@pytest.mark.slow
def test_a_killed_process_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import sys
from cnnart import runtime
from cnnart.__main__ import main
from cnnart.run import journal
from tests.helpers.tiny_vgg import tiny_weights

runtime.load_vgg = lambda *_, **__: tiny_weights()
journal.FIRST = journal.EVERY = journal.SHARE = 0
sys.exit(main(sys.argv[1:]))
"""
    command = [*ONE, *HERE]
    process = cnnart_process(*command, code=code)
    deadline = time.monotonic() + 120
    while not list(Path().glob(".cnnart-*.state")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not Path("out.jpg").exists()
    assert ".state" in hidden()
    process = cnnart_process(*command, code=code)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert b"going on from step" in error
    found = Path("out.jpg").read_bytes()
    assert main(command) == 0
    assert Path("out.jpg").read_bytes() == found
