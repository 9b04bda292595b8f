"""Runs killed at any moment: no half file under a final name, and the next run makes it whole."""

from __future__ import annotations

import random
import shutil
import signal

import pytest

from tests.torture.commands import COMMANDS, CPU, again, broken, prepare, results

KILLS = 200  # over all commands
SIGNALS = ("SIGKILL", "SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_run_after_a_kill_makes_what_an_undisturbed_one_makes(
    command, inputs, tmp_path, workshop, amount, count
):
    kills = amount(1, -(-KILLS // len(COMMANDS)))
    shutil.copytree(inputs, whole := tmp_path / "whole")
    undisturbed = workshop.run((*COMMANDS[command], *CPU), whole)
    assert undisturbed.code == 0, undisturbed.errors
    shutil.rmtree(whole / "out")
    undisturbed = workshop.run((*COMMANDS[command], *CPU), whole)  # with all modules loaded
    expected = results(whole)
    first = [*COMMANDS].index(command)  # even if there is only one of each
    rng = random.Random(f"{command} {kills}")
    for number in range(kills):
        shutil.copytree(inputs, folder := tmp_path / str(number))
        name = SIGNALS[(number + first) % len(SIGNALS)]
        after = rng.uniform(0, 1.05) * undisturbed.seconds
        cut = workshop.run(again(command, folder), folder, kill=(after, getattr(signal, name)))
        what = f"{name} after {after:.3f} of {undisturbed.seconds:.3f} s"
        assert "a bug in cnnart" not in cut.errors, (what, cut.errors)
        assert not broken(folder), what
        finished = workshop.run(again(command, folder), folder)
        assert finished.code == 0, (what, finished.errors)
        found = results(folder)
        assert not [n for n in {*found, *expected} if found.get(n) != expected.get(n)], what
        shutil.rmtree(folder)
        count(f"kills: {command}")
