"""How far pictures are from others, in grey levels."""

from torch import Tensor


def mean_change(a: Tensor, b: Tensor, weight: Tensor | None = None) -> float:
    """Mean |a - b| of pictures uint8 (n, c, h, w), in grey levels of 255.

    With `weight` (n, 1, h, w) pixels count by it, over all pictures together: one without any adds nothing.
    Raises ValueError for pictures of two shapes, or when no pixel has any weight.
    """
    if a.shape != b.shape:
        raise ValueError(f"pictures of one shape are compared, got {tuple(a.shape)} and {tuple(b.shape)}")
    change = (a.float() - b.float()).abs().mean(1, keepdim=True).double()
    if weight is None:
        return float(change.mean())
    total = float(weight.double().sum())
    if total == 0:
        raise ValueError("no pixel has any weight")
    return float((change * weight).sum()) / total
