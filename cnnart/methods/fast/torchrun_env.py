"""What torchrun tells the processes it starts, and how they share a list of files.

Nothing here imports torch, unless there are several processes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

Item = TypeVar("Item")


def world() -> tuple[int, int]:
    """(rank, number of processes) as torchrun tells them; (0, 1) without it."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def attempt() -> int:
    """How often torchrun has started the processes again after one had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


def restarted() -> bool:
    """Whether these are not the first processes of the run."""
    return attempt() > 0


def local_device(device: torch.device) -> torch.device:
    """This process's own GPU where there are several."""
    if device.type == "cuda" and device.index is None and world()[1] > 1:
        import torch

        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return device


@contextlib.contextmanager
def shared(items: Sequence[Item]) -> Iterator[list[Item]]:
    """This process's part of what all of them have to do; each item belongs to one of them.

    Before, all processes wait until each has made its list, so that none lists what another has
    written; after, until all are done: torchrun ends them all when one returns a failure.
    """
    rank, size = world()
    if size == 1:
        yield list(items)
        return
    import torch.distributed as dist

    init_process_group("gloo", "files")
    try:
        dist.barrier()
        yield list(items[rank::size])
    finally:
        with contextlib.suppress(RuntimeError):  # another one has died: nothing to wait for
            dist.barrier()
        dist.destroy_process_group()


def init_process_group(backend: str, purpose: str) -> None:
    """Make the processes' group, through the store that torchrun holds.

    Under a name of its own for every attempt: with torch 2.14 and gloo, processes started again
    else read the addresses of those that have died, and never meet.
    """
    import torch.distributed as dist

    rank, size = world()
    hosted = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(address, port, size, is_master=rank == 0 and not hosted)
    named = dist.PrefixStore(f"cnnart/{purpose}/{attempt()}", store)
    dist.init_process_group(backend, store=named, rank=rank, world_size=size)
