"""The share of the hardware's peak that a fit reaches: counted operations against a timed matrix product."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from training.tasks.base import Task

REPEATS = 5


def utilisation(flops_per_image: float, images_per_second: float, peak: float) -> float:
    """The share of `peak` (floating-point operations a second) that goes into counted operations."""
    return flops_per_image * images_per_second / peak


class CountedSteps:
    """Runs a task's steps and counts the operations of the first ones, until their kinds repeat."""

    def __init__(self, task: Task) -> None:
        self._task, self._left = task, task.config.period_steps if task.world.is_main else 0
        self._flops, self._images = 0, 0

    def step(self, first: int) -> dict[str, Tensor]:
        """Returns the task's step from image `first`; counted ones run uncompiled, as compiled code cannot be seen."""
        if not self._left:
            return self._task.step(first)
        with ExitStack() as stack:
            if self._task.config.compile:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            counter = stack.enter_context(_Counter())
            parts = self._task.step(first)
        self._left -= 1
        self._flops += counter.flops
        self._images += self._task.config.batch
        return parts

    @property
    def flops_per_image(self) -> float | None:
        """This process's operations per image of the global batch; a multiplication and an addition are two.

        None until every kind of step has been counted.
        """
        return None if self._left or not self._images else self._flops / self._images


class _Counter(TorchDispatchMode):
    """Adds up PyTorch's formulas. Its own FlopCounterMode hooks into modules, which breaks R1's second derivative."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch does not type it
        self.flops = 0

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


@cache
def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large matrix product in `dtype`, the best of five; timed once per process.

    On a CPU the threads' CPU time counts, so that other load does not lower the peak. On a GPU fp32 is TF32, as it is
    in cuDNN's convolutions.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else before)
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in "ab")
    best = float("inf")
    for _ in range(REPEATS + 1):  # the first one warms up
        start = _seconds(device)
        a @ b
        best = min(best, _seconds(device) - start)
    torch.set_float32_matmul_precision(before)
    return 2 * side**3 / best


def _seconds(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time() / torch.get_num_threads()
