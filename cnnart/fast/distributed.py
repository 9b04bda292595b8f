"""Several processes at one training, as torchrun starts them; a single one without it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cnnart.fast.torchrun import attempt, world

Item = TypeVar("Item")
CPU = torch.device("cpu")


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
    meet("gloo", "files")
    try:
        dist.barrier()
        yield list(items[rank::size])
    finally:
        with contextlib.suppress(RuntimeError):  # another one has died: nothing to wait for
            dist.barrier()
        dist.destroy_process_group()


def meet(backend: str, purpose: str) -> None:
    """Make the processes' group, through the store that torchrun holds.

    Under a name of its own for every attempt: with torch 2.14 and gloo, processes started again
    else read the addresses of those that have died, and never meet.
    """
    rank, size = world()
    hosted = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(address, port, size, is_master=rank == 0 and not hosted)
    named = dist.PrefixStore(f"cnnart/{purpose}/{attempt()}", store)
    dist.init_process_group(backend, store=named, rank=rank, world_size=size)


def local_device(device: torch.device) -> torch.device:
    """This process's own GPU where there are several."""
    if device.type == "cuda" and device.index is None and world()[1] > 1:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    return device


@dataclass(frozen=True)
class Group:
    """The processes of a run. With one of them, every method does nothing.

    Joining needs the environment that torchrun sets; ``leave`` belongs to the end.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and talks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def means(self, values: Mapping[str, float]) -> dict[str, float]:
        """The means over all processes, by name."""
        if self.size == 1:
            return dict(values)
        numbers = torch.tensor(list(values.values()), dtype=torch.float64)
        if self.device.type == "cuda":
            numbers = numbers.to(self.device)
        return dict(zip(values, (self.sum(numbers) / self.size).tolist(), strict=True))

    def agree(self, value: float) -> float:
        """The first process's number."""
        if self.size == 1:
            return value
        number = torch.tensor([value], dtype=torch.float64)
        number = number.to(self.device) if self.device.type == "cuda" else number
        dist.broadcast(number, 0)
        return float(number[0])

    def share(self, data: bytes | None) -> bytes | None:
        """The first process's bytes, so that only its disk needs to hold them."""
        if self.size == 1:
            return data
        length = int(self.agree(-1 if data is None else len(data)))
        if length < 0:
            return None
        buffer = bytearray(data) if self.leads and data else bytearray(max(1, length))
        values = torch.frombuffer(buffer, dtype=torch.uint8).clone().to(self.device)
        dist.broadcast(values, 0)
        return bytes(values.cpu().numpy().tobytes())[:length]

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over all processes."""
        if self.size == 1:
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=ids)

    def leave(self) -> None:
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def join(device: torch.device) -> Group:
    """Join the other processes that torchrun has started: gloo on CPUs, nccl on CUDA."""
    rank, size = world()
    if size == 1:
        return Group(device=device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    meet("nccl" if device.type == "cuda" else "gloo", "training")
    return Group(rank, size, device)
