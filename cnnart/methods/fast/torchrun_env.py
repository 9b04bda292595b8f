"""What torchrun tells the processes it starts, and how they share a list of files.

Nothing here imports torch, unless there are several processes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from threading import Timer
from typing import TYPE_CHECKING, TypeVar

from cnnart.errors import CnnartError

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")
Tell = Callable[[str], None]

STARTED = "TORCHELASTIC_RUN_ID"  # torchrun alone sets it
PATIENCE = 10.0  # seconds after which it is said that others are waited for
LONGEST_WAIT = 300.0  # seconds; torch may take minutes to load from a network drive


def world() -> tuple[int, int]:
    """(rank, number of processes) as torchrun tells them; (0, 1) without it.

    Batch systems, launchers and forgotten exports set variables of the same names: nobody is to
    wait for processes that do not exist.
    """
    rank, size = _number("RANK"), _number("WORLD_SIZE")
    met = os.environ.get("MASTER_ADDR") and _number("MASTER_PORT")
    if STARTED not in os.environ or not met or rank is None or size is None or rank >= size:
        return 0, 1
    return rank, size


def ignored() -> str | None:
    """A line for people who may have meant several processes, and have one; else None."""
    size = _number("WORLD_SIZE")
    if STARTED in os.environ or size is None or size < 2:
        return None
    return (
        f"WORLD_SIZE is {size}, but it was not torchrun that set it: this is a run of its own. "
        "Start several processes with torchrun."
    )


def _number(name: str) -> int | None:
    """The number in a variable; None where there is none."""
    text = os.environ.get(name, "").strip()
    return int(text) if text.isdecimal() else None


def attempt() -> int:
    """How often torchrun has started the processes again after one had died."""
    return (_number("TORCHELASTIC_RESTART_COUNT") or 0) if STARTED in os.environ else 0


def restarted() -> bool:
    """Whether these are not the first processes of the run."""
    return attempt() > 0


def local_device(device: torch.device) -> torch.device:
    """This process's own GPU where there are several."""
    if device.type == "cuda" and device.index is None and world()[1] > 1:
        import torch

        return torch.device("cuda", _number("LOCAL_RANK") or 0)
    return device


@contextlib.contextmanager
def shared(items: Sequence[Item], tell: Tell = lambda line: None) -> Iterator[list[Item]]:
    """This process's part of what all of them have to do; each item belongs to one of them.

    Before, all processes wait until each has made its list, so that none lists what another has
    written; after, until all are done: torchrun ends them all when one returns a failure. ``tell``
    is told what is waited for. Raises CnnartError when the others do not come.
    """
    rank, size = world()
    if size == 1:
        yield list(items)
        return
    import torch.distributed as dist

    init_process_group("gloo", "files", tell)
    try:
        dist.barrier()
        yield list(items[rank::size])
    finally:
        with contextlib.suppress(RuntimeError):  # another one has died: nothing to wait for
            dist.barrier()
        dist.destroy_process_group()


def init_process_group(backend: str, purpose: str, tell: Tell) -> None:
    """Make the processes' group, through the store that torchrun holds.

    ``tell`` is told if that takes long. Raises CnnartError when the others do not come.

    Under a name of its own for every attempt: with torch 2.14 and gloo, processes started again
    else read the addresses of those that have died, and never meet.
    """
    import torch.distributed as dist

    rank, size = world()
    hosted = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    place = f"{size} processes of torchrun at {address}:{port}"
    told = Timer(PATIENCE, tell, [f"waiting for the {place}, {LONGEST_WAIT:.0f} s at the most."])
    told.daemon = True
    told.start()
    try:
        is_master = rank == 0 and not hosted
        wait = timedelta(seconds=LONGEST_WAIT)
        store = dist.TCPStore(address, port, size, is_master=is_master, timeout=wait)
        named = dist.PrefixStore(f"cnnart/{purpose}/{attempt()}", store)
        dist.init_process_group(backend, store=named, rank=rank, world_size=size)
    except RuntimeError as error:
        raise CnnartError(
            f"The {place} did not meet within {LONGEST_WAIT:.0f} s: see whether all were started, "
            "and can reach that place."
        ) from error
    finally:
        told.cancel()
