import pytest
import torch
from torch import Tensor, nn

from export.graphs import DigitGraph, TranslationGraph


class Constant(nn.Module):
    """A generator of one digit for any z: its pixels are the values, then 0."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = values

    def forward(self, z: Tensor) -> Tensor:
        digits = torch.zeros(len(z), 28 * 28)
        digits[:, : len(self.values)] = torch.tensor(self.values)
        return digits.view(-1, 1, 28, 28)


def test_digits_are_uint8_without_a_channel_axis() -> None:
    digits = DigitGraph(Constant(0.0))(torch.zeros(3, 4))
    assert (digits.shape, digits.dtype) == ((3, 28, 28), torch.uint8)


@pytest.mark.parametrize(
    ("value", "pixel"), [(-1.0, 0), (1.0, 255), (-0.996, 1), (0.996, 254), (0.0, 128), (-1.5, 0), (1.5, 255)]
)
def test_values_from_minus_one_to_one_become_grey_levels(value: float, pixel: int) -> None:
    # rounded to the nearest, 127.5 to the even 128; clamped outside
    assert DigitGraph(Constant(value))(torch.zeros(1, 4))[0, 0, 0] == pixel


def test_a_translation_keeps_every_grey_level() -> None:
    image = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3).contiguous()
    assert torch.equal(TranslationGraph(nn.Identity())(image), image)


def test_the_network_sees_planes_from_minus_one_to_one() -> None:
    seen = []

    class Look(nn.Module):
        def forward(self, planes: Tensor) -> Tensor:
            seen.append(planes)
            return planes

    image = torch.zeros(2, 4, 8, 3, dtype=torch.uint8)
    image[..., 1] = 255
    TranslationGraph(Look())(image)
    assert (seen[0].shape, seen[0].dtype) == ((2, 3, 4, 8), torch.float32)
    assert [seen[0][:, channel].unique().tolist() for channel in range(3)] == [[-1], [1], [-1]]


def test_a_translation_keeps_colours_and_places_apart() -> None:
    image = torch.randint(0, 256, (2, 8, 12, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(TranslationGraph(nn.Identity())(image), image)
