"""Memory that was freed stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from cnnart.runtime import keep_freed_memory

FAULTS = """
import resource, sys
from threading import Thread
import torch
from cnnart.runtime import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    side = 17_000_000  # more than a thread's own arena holds
    for _ in range(15):
        torch.ones(side)
    begun = faults()
    for _ in range(5):
        torch.ones(side)
    print(faults() - begun)
if sys.argv[2] == "thread":
    thread = Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
"""
GLIBC = platform.libc_ver()[0] == "glibc"


@pytest.mark.slow
@pytest.mark.skipif(not GLIBC, reason="only glibc gives memory back at once")
@pytest.mark.parametrize("where", ["main", "thread"])
def test_the_next_tensor_comes_without_page_faults(where: str) -> None:
    usual, kept = (
        int(
            subprocess.run(
                [sys.executable, "-c", FAULTS, mode, where],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for mode in ("usual", "keep")
    )
    assert kept < usual / 3


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory.cache_clear()
    assert not keep_freed_memory()
    keep_freed_memory.cache_clear()
