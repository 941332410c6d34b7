"""Blots: small black spots with a blue and an orange rim, which generators with instance normalisation leave."""

from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

DARKEST = 25
"""Grey level below which a spot is black."""
COLOUR = 40
"""Grey levels between red and blue from which a rim is coloured."""
RIM, SURROUNDINGS = 5, 10
"""Pixels: from a blot to its rim, and to a dark spot of the source that explains it."""
LEAST_PIXELS = 12


def has_blot(images: Tensor, sources: Tensor | None = None) -> Tensor:
    """Whether each image has a blot. uint8 (n, 3, h, w), best of about 256 px -> bool (n,).

    A blot is a black spot, averaged over 5 px, with both blue and orange within 5 px of it. A spot within 10 px of a
    like one in the image's source does not count. The cause is described by Karras et al. 2020 (StyleGAN2, section 2).
    """
    spots = _spots(images)
    if sources is not None:
        spots &= ~_near(_spots(sources), SURROUNDINGS)
    return spots.sum((1, 2, 3)) >= LEAST_PIXELS


def _spots(images: Tensor) -> Tensor:
    red, green, blue = images.float().split(1, dim=1)
    black = avg_pool2d((red + green + blue) / 3, 5, 1, 2) < DARKEST
    tint = avg_pool2d(blue - red, 3, 1, 1)
    return black & _near(tint > COLOUR, RIM) & _near(tint < -COLOUR, RIM)


def _near(mask: Tensor, radius: int) -> Tensor:
    found: Tensor = max_pool2d(mask.float(), 2 * radius + 1, 1, radius) > 0
    return found
