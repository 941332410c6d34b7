"""Every random draw of a fit is a function of (seed, what it is for, which image): nothing is consumed.

So a resumed run, and a run on another number of processes, draw what an uncut run on one would have.
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
    """A generator for this (seed, purpose, index) alone; other kinds of device draw other numbers from it."""
    return torch.Generator(device).manual_seed(derive_seed(seed, purpose, index))


@contextmanager
def seeded(seed: int, purpose: str, index: int = 0) -> Iterator[None]:
    """Seeds PyTorch's global CPU generator inside the block, since torchvision's transforms know no other."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, purpose, index))
        yield


@lru_cache(maxsize=8)
def _permutation(seed: int, purpose: str, epoch: int, size: int) -> Tensor:
    return torch.randperm(size, generator=generator(seed, purpose, epoch))


def shuffled_index(seed: int, purpose: str, position: int, size: int) -> int:
    """The sample drawn at `position` (0, 1, ... for the whole run) when every epoch of `size` is shuffled anew."""
    epoch, offset = divmod(position, size)
    return int(_permutation(seed, purpose, epoch, size)[offset])
