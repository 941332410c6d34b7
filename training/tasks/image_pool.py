"""The history of generated images that steadies CycleGAN's discriminators (Shrivastava et al. 2017)."""

import torch
from torch import Tensor

from training import rng
from training.distributed import World


class ImagePool:
    """Keeps `size` generated images; a query exchanges each new image with probability 1/2 for an older one.

    Every process holds the same pool of the *global* batches, and the choice for an image depends only on its
    global number, so one process and several see the same history.
    """

    def __init__(self, size: int, seed: int, purpose: str, world: World) -> None:
        """`size`: images kept; with 0 every image is returned unchanged. `purpose` separates the draws of two pools."""
        self.size = size
        self.images: Tensor | None = None
        self._seed, self._purpose, self._world = seed, purpose, world

    def query(self, fakes: Tensor, first: int) -> Tensor:
        """This process's fakes (n, C, H, W) of the global batch that starts at image `first` -> as many for the
        discriminator."""
        if self.size == 0:
            return fakes
        everyones = self._world.gather(fakes.detach())
        chosen = torch.stack([self._exchange(image, first + i) for i, image in enumerate(everyones)])
        share = self._world.share(len(chosen))
        return chosen[share.start : share.stop]

    def _exchange(self, image: Tensor, number: int) -> Tensor:
        if self.images is None or self.images.shape[1:] != image.shape:
            self.images = image.new_empty((0, *image.shape))
        if len(self.images) < self.size:
            self.images = torch.cat([self.images, image[None]])
            return image
        dice = rng.generator(self._seed, self._purpose, number)
        if torch.rand((), generator=dice) < 0.5:
            return image
        slot = int(torch.randint(self.size, (), generator=dice))
        older = self.images[slot].clone()
        self.images[slot] = image
        return older
