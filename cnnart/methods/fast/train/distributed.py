"""Several processes at one training, as torchrun starts them; a single one without it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cnnart.methods.fast.torchrun_env import Tell, init_process_group, world

CPU = torch.device("cpu")


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
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        return self.sum(values) / self.size

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
        box = [data]
        dist.broadcast_object_list(box, 0, device=self.device)
        return box[0]

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over all processes."""
        if self.size == 1:
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=ids)

    def leave(self) -> None:
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def join(device: torch.device, tell: Tell = lambda line: None) -> Group:
    """Join the other processes that torchrun has started: gloo on CPUs, nccl on CUDA.

    ``tell`` is told what is waited for. Raises CnnartError when the others do not come.
    """
    rank, size = world()
    if size == 1:
        return Group(device=device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    init_process_group("nccl" if device.type == "cuda" else "gloo", "training", tell)
    return Group(rank, size, device)
