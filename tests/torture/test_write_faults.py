"""Each act of writing fails once: one line, no half file, and the next run makes it whole."""

from __future__ import annotations

import errno
import shutil

import pytest

from tests.torture.commands import COMMANDS, CPU, again, broken, prepare, results

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize("command", COMMANDS)
def test_no_failing_write_is_worse_than_a_line(command, inputs, tmp_path, workshop, amount, count):
    shutil.copytree(inputs, whole := tmp_path / "whole")
    undisturbed = workshop.run((*COMMANDS[command], *CPU), whole, fault=(0, errno.EIO))
    assert undisturbed.code == 0, undisturbed.errors
    expected, acts = results(whole), undisturbed.told["acts"]
    assert acts
    every = [(n + 1, ERRORS[n % len(ERRORS)]) for n in range(len(acts))]
    wanted = amount(2, len(every))
    for number, error in every[:: max(1, len(every) // wanted)][:wanted]:
        shutil.copytree(inputs, folder := tmp_path / f"{number}-{error}")
        cut = workshop.run(again(command, folder), folder, fault=(number, error))
        what = f"{errno.errorcode[error]} at {acts[number - 1]!r} ({number} of {len(acts)})"
        assert cut.code in (0, 1, 3), (what, cut.errors)
        assert "a bug in cnnart" not in cut.errors, (what, cut.errors)
        assert "Traceback" not in cut.errors, (what, cut.errors)
        assert not broken(folder), what
        if cut.code:
            assert "error: " in cut.errors or " failed, " in cut.errors, (what, cut.errors)
        else:  # what could not be written was not the result
            assert {n: results(folder)[n] for n in _of_results(expected)} == {
                n: expected[n] for n in _of_results(expected)
            }, what
        finished = workshop.run(again(command, folder), folder)
        assert finished.code == 0, (what, finished.errors)
        found = results(folder)
        differ = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
        assert not differ, what
        shutil.rmtree(folder)
        count(f"write faults: {command}")


def _of_results(expected):
    return [name for name in expected if "preview" not in name and "step" not in name]
