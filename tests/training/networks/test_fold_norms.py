"""Generators without instance normalisation, and how one with it becomes one."""

import torch

from training.networks.cyclegan import Generator, fold_norms


def test_folded_norms_are_exact_where_every_image_has_the_same_statistics() -> None:
    normed, image = Generator(4, 2).eval(), torch.rand(1, 3, 32, 48) * 2 - 1
    free = Generator(4, 2, norm="none").eval()
    free.load_state_dict(fold_norms(normed, [image, image.expand(3, -1, -1, -1)]))
    with torch.no_grad():
        assert torch.allclose(free(image), normed(image), atol=1e-4)


def test_folding_leaves_the_generator_as_it_was() -> None:
    normed, image = Generator(4, 1).eval(), torch.rand(2, 3, 32, 32) * 2 - 1
    before = {name: tensor.clone() for name, tensor in normed.state_dict().items()}
    fold_norms(normed, [image])
    assert all(torch.equal(before[name], tensor) for name, tensor in normed.state_dict().items())


def test_without_norms_a_pixel_depends_on_its_surroundings_alone() -> None:
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    changed = image.clone()
    changed[:, :, :16, :16] = 1
    with torch.no_grad():
        for norm, alike in (("none", True), ("instance", False)):
            generator = Generator(4, 1, norm=norm).eval()
            far, far_changed = (generator(x)[:, :, 96:, 96:] for x in (image, changed))
            assert torch.equal(far, far_changed) is alike


def test_new_generators_without_norms_neither_explode_nor_vanish() -> None:
    for blocks in (1, 9):
        generator = Generator(16, blocks, norm="none")
        with torch.no_grad():
            made = generator(torch.rand(2, 3, 64, 64) * 2 - 1)
        assert 0.05 < made.std() < 0.5
