"""Two unpaired image folders (trainA, trainB, testA, testB) decoded once into memory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from training import rng
from training.data.errors import DataError
from training.distributed import World
from training.images import to_signed

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
#: Training images of each pair that are identical to test images; fits and floors leave them out.
CROSSES_INTO_TEST = {"horse2zebra": frozenset({"n02381460_3811.jpg"})}


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


def load_training_domain(root: Path, name: str, resize: int) -> Domain:
    """`load_domain` without the images that the pair's test sets contain too; `root` is named like the pair."""
    return load_domain(root, name, resize, CROSSES_INTO_TEST.get(root.name, frozenset()))


def load_domain(root: Path, name: str, resize: int, skip: frozenset[str] = frozenset()) -> Domain:
    """Decodes every image of `root`/`name`, except the file names in `skip`, to resize x resize.

    Raises DataError when the folder is missing or empty, or names the first file that does not decode.
    """
    folder = root / name
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES and p.name not in skip)
    if not files:
        raise DataError(
            f"no images in {folder}: a pair needs trainA, trainB, testA and testB with "
            f"{', '.join(sorted(SUFFIXES))} files. Put yours there; for horse2zebra, "
            f"'gan-train download --which horse2zebra --data {root.parent}' downloads them"
        )
    shrink = v2.Resize((resize, resize), antialias=True)
    digest = hashlib.sha256()
    images = torch.empty((len(files), 3, resize, resize), dtype=torch.uint8)
    for row, file in enumerate(files):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
        try:
            with Image.open(file) as image:
                images[row] = v2.functional.pil_to_tensor(shrink(image.convert("RGB")))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(
                f"{file} is not a readable image ({error}): delete it, or download the data again"
            ) from error
    return Domain(name, images, digest.hexdigest())
