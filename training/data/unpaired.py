"""The images of two unpaired folders, decoded once into memory."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms import v2

from imaging import ImageError, decode
from training import rng
from training.data.errors import DataError
from training.data.folders import ImageFiles
from training.distributed import World
from training.images import to_signed

MOST_PIXELS = 200_000_000
"""Largest image; decoding takes about 8 bytes of memory a pixel."""
NAMED = 8
"""Most files that an error names."""


@dataclass(frozen=True)
class Domain:
    """One side of the pair: `images` (n, 3, resize, resize) uint8 and the hash of the files they came from."""

    name: str
    images: Tensor
    sha256: str

    def batch(self, first: int, size: int, crop: int, seed: int, world: World) -> Tensor:
        """This process's share of the global batch that starts at image `first`: random crops, half of them mirrored.

        Noise of one grey level is added to every pixel (dequantisation: Theis et al. 2016, section 3.1). A crop of
        one colour, such as a studio's backdrop, would have no variance, and each instance normalisation would then
        multiply its gradient by up to 316, so that fp32 overflows after a dozen of them.

        Returns (n, 3, crop, crop) in [-1, 1].
        """
        augment = v2.Compose([v2.RandomCrop(crop), v2.RandomHorizontalFlip()])
        views, noise = [], []
        for position in (first + i for i in world.share(size)):
            row = rng.shuffled_index(seed, self.name, position, len(self.images))
            with rng.seeded(seed, f"augment-{self.name}", position):
                views.append(augment(self.images[row]))
            draws = rng.generator(seed, f"level-{self.name}", position, world.device)
            noise.append(torch.rand(views[-1].shape, generator=draws, device=world.device))
        levels = torch.stack(views).to(world.device) + torch.stack(noise) - 0.5
        return to_signed(levels).clamp(-1, 1)


def load_domain(files: ImageFiles, resize: int) -> Domain:
    """Decodes every image as the service does and resizes it to resize x resize.

    Raises DataError with the names of all files that do not decode.
    """
    shrink = v2.Resize((resize, resize), antialias=True)
    digest = hashlib.sha256()
    images = torch.empty((len(files.files), 3, resize, resize), dtype=torch.uint8)
    broken = []
    for row, file in enumerate(files.files):
        body = file.read_bytes()
        digest.update(hashlib.sha256(body).digest())
        try:
            images[row] = v2.functional.pil_to_tensor(shrink(decode(body, MOST_PIXELS).image))
        except ImageError as error:
            broken.append(f"{file.name} ({error})")
    if broken:
        named = ", ".join(broken[:NAMED]) + (f" and {len(broken) - NAMED} more" if len(broken) > NAMED else "")
        raise DataError(
            f"{len(broken)} of {files} cannot be decoded: {named}. Delete or convert them, or download the data again"
        )
    return Domain(files.folder.name, images, digest.hexdigest())
