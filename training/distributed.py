"""Data parallelism: the share of each batch that a process computes, and averages over all processes."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

CPU = torch.device("cpu")


class BatchError(ValueError):
    """A batch that does not divide evenly among the processes."""


@dataclass(frozen=True)
class World:
    """One process among `size`. The images of a global batch are numbered rank by rank."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    def share(self, batch: int) -> range:
        """This process's positions in a global batch of `batch` images. Raises BatchError if it does not divide."""
        if batch % self.size:
            raise BatchError(
                f"batch {batch} does not divide among {self.size} processes: make it a multiple of {self.size}"
            )
        part = batch // self.size
        return range(self.rank * part, (self.rank + 1) * part)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replaces each gradient by its mean over the processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def average(self, tensor: Tensor) -> Tensor:
        """The mean of a tensor over the processes."""
        if self.size > 1:
            tensor = tensor.clone()
            dist.all_reduce(tensor)
            tensor /= self.size
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """The shares of all processes, concatenated along the first axis in global order; no gradient flows."""
        if self.size == 1:
            return tensor
        parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(self.size)]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        value = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value.item())

    def barrier(self) -> None:
        """Waits for all processes."""
        if self.size > 1:
            dist.barrier()


def join_world(device: torch.device) -> World:
    """Joins the processes that `torchrun` started (RANK, WORLD_SIZE, LOCAL_RANK); without it there is one process.

    NCCL between GPUs, gloo between CPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World(device=device)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return World(rank=dist.get_rank(), size=size, device=device)


def leave_world(world: World) -> None:
    """Ends the process group if there is one."""
    if world.size > 1:
        dist.destroy_process_group()
