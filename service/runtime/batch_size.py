"""How many of the items that wait run together."""

from collections.abc import Mapping


def batch_size(waiting: int, seconds: Mapping[int, float]) -> int:
    """Of `waiting` >= 1 items, those to run now, when batches come in fixed sizes and each takes `seconds[size]`.

    All of them, padded to the next size, where that takes no longer than a full smaller batch and then the rest;
    else the smaller batch. Never more than the largest size.
    """
    sizes = sorted(seconds)
    if waiting >= sizes[-1]:
        return sizes[-1]
    above = next(size for size in sizes if size >= waiting)
    below = max((size for size in sizes if size <= waiting), default=above)
    if below in (above, waiting):
        return waiting
    rest = next(size for size in sizes if size >= waiting - below)
    return waiting if seconds[above] <= seconds[below] + seconds[rest] else below


def padded(rows: int, sizes: tuple[int, ...]) -> int:
    """The smallest of `sizes` that holds `rows`. Raises ValueError when none does."""
    fitting = [size for size in sizes if size >= rows]
    if not fitting:
        raise ValueError(f"{rows} rows, batches have at most {max(sizes)}")
    return min(fitting)
