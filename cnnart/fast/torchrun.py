"""What torchrun tells the processes it starts. Nothing here imports torch."""

from __future__ import annotations

import os


def world() -> tuple[int, int]:
    """(rank, number of processes) as torchrun tells them; (0, 1) without it."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def attempt() -> int:
    """How often torchrun has started the processes again after one had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


def restarted() -> bool:
    """Whether these are not the first processes of the run."""
    return attempt() > 0
