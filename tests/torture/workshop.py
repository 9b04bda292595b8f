"""Runs of cnnart, each in a process of its own, which is forked from one that has torch loaded.

So hundreds of runs can be killed, or meet a full disk, within minutes: starting Python and torch
anew takes seconds. The VGG is one of random weights with a handful of channels.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 120  # seconds for a run


@dataclass(frozen=True)
class Ran:
    """How a run ended. ``code``: its exit code, or minus the signal that ended it."""

    code: int
    seconds: float
    errors: str
    told: dict[str, Any]


class Workshop:
    """The process that the runs are forked from."""

    def __enter__(self) -> Workshop:
        if not hasattr(os, "fork") or sys.platform == "darwin":
            pytest.skip("needs fork, and a system where torch survives it")
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **threads, "PYTHONWARNINGS": "ignore"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(LONGEST)

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        kill: tuple[float, int] | None = None,
        fault: tuple[int, int] | None = None,
        watch: bool = False,
        limit: int = LONGEST,
    ) -> Ran:
        """``cnnart arguments`` in a folder.

        Args:
            kill: after so many seconds, the signal it gets.
            fault: which of its acts of writing (from 1; 0: none) fails, and with which errno; the
                acts there were are ``told`` as "acts".
            watch: have memory, open files and results ``told`` as they grow.
            limit: seconds after which it is a hang, and the workshop ends.
        """
        order = {"arguments": [*arguments], "folder": str(folder)}
        order |= {"kill": kill, "fault": fault, "watch": watch, "limit": limit}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Ran(**answer)


# From here on, in the process of the workshop


def serve() -> None:
    """Do what is ordered on standard input, a line of JSON each."""
    import torch
    import torch._dynamo  # by the first optimizer: it takes the longest of all

    import cnnart.cli
    import cnnart.commands.fast_stylize
    import cnnart.commands.training_run
    import cnnart.commands.visualize
    from cnnart import runtime
    from cnnart.image import read
    from cnnart.run import journal
    from cnnart.weights import embedded
    from tests.helpers.tiny_vgg import tiny_weights

    torch.set_num_threads(1)
    weights = tiny_weights()
    runtime.load_vgg = lambda *_, **__: weights  # type: ignore[assignment]
    embedded.expand_ahead = lambda: None  # for nobody, and its memory would count
    # A run of a second is to keep where it stands, too.
    journal.FIRST, journal.EVERY, journal.SHARE = 0.0, 0.0, 0
    cnnart.commands.training_run.SAVE_STATE_SECONDS = 0.05
    assert read
    for line in sys.stdin:
        print(json.dumps(_carry_out(json.loads(line))), flush=True)


def _carry_out(order: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _work(order, Path(scratch))
        if order["kill"]:
            delay, number = order["kill"]
            time.sleep(delay)
            os.kill(child, number)
        signal.alarm(order["limit"])  # which ends this process, and so the test
        _, status = os.waitpid(child, 0)
        signal.alarm(0)
        seconds = time.monotonic() - began
        path = Path(scratch, "told")
        told = json.loads(path.read_text()) if path.exists() else {}
        for name in told.pop("modules", ()):  # so that the next run need not
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        errors = Path(scratch, "errors").read_text(errors="replace")
        code = os.waitstatus_to_exitcode(status)
        return {"code": code, "seconds": seconds, "errors": errors, "told": told}


def _work(order: dict[str, Any], scratch: Path) -> None:
    """A run, in the forked process, which ends here."""
    code = 70
    try:
        errors = os.open(scratch / "errors", os.O_WRONLY | os.O_CREAT)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number, stream in enumerate((nothing, nothing, errors)):
            os.dup2(stream, number)
        os.chdir(order["folder"])
        tempfile.tempdir = str(scratch)
        told: dict[str, Any] = {}
        known = set(sys.modules)
        from cnnart.__main__ import main

        if order["fault"]:
            from tests.torture.faults import failing_acts

            with failing_acts(*order["fault"]) as acts:
                code = main(order["arguments"])
            told["acts"] = acts
        elif order["watch"]:
            from cnnart.run import journal
            from tests.torture.watch import watched

            journal.FIRST, journal.EVERY, journal.SHARE = 10.0, 20.0, 20  # as usual
            with watched(Path(order["folder"])) as told["samples"]:
                code = main(order["arguments"])
        else:
            code = main(order["arguments"])
        told["modules"] = sorted(set(sys.modules) - known)
        (scratch / "told").write_text(json.dumps(told))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
