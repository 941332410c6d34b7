"""Random draws as functions of (seed, purpose, image number), without any state.

A resumed run and a run on another number of processes therefore draw the same numbers as an uncut run on one.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor

CPU = torch.device("cpu")


def derive_seed(seed: int, purpose: str, index: int = 0) -> int:
    """A 63-bit seed that differs for every (seed, purpose, index)."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, purpose: str, index: int = 0, device: torch.device = CPU) -> torch.Generator:
    """The generator of (seed, purpose, index); its numbers differ between kinds of device."""
    return torch.Generator(device).manual_seed(derive_seed(seed, purpose, index))


@contextmanager
def seeded(seed: int, purpose: str, index: int = 0) -> Iterator[None]:
    """Seeds PyTorch's global CPU generator inside the block, for torchvision's transforms, which take no generator."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, purpose, index))
        yield


@lru_cache(maxsize=8)
def _permutation(seed: int, purpose: str, epoch: int, size: int) -> Tensor:
    return torch.randperm(size, generator=generator(seed, purpose, epoch))


def shuffled_index(seed: int, purpose: str, position: int, size: int) -> int:
    """The row at `position` (0, 1, ... over the whole run) of `size` rows that every epoch shuffles anew."""
    epoch, offset = divmod(position, size)
    return int(_permutation(seed, purpose, epoch, size)[offset])
