import pytest
import torch
from torch import nn

from training.networks.cyclegan import (
    PRESETS,
    Discriminator,
    Generator,
    Preset,
    ResidualBlock,
    Size,
    generator_of,
    patch_discriminator_of,
    receptive_radius,
    size_of,
)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("size", [(16, 16), (20, 36), (32, 24), (44, 16)])
def test_generator_keeps_the_size_of_a_image(size: tuple[int, int]) -> None:
    x = torch.zeros(2, 3, *size)
    assert Generator(4, 1)(x).shape == x.shape


def test_generated_pixels_lie_between_minus_one_and_one() -> None:
    network = Generator(4, 1)
    with torch.no_grad():
        network.layers[-2].weight.mul_(1000)  # far into the saturation of tanh
    y = network(torch.rand(1, 3, 16, 16) * 2 - 1)
    assert 0.9 < y.abs().max() <= 1


def test_a_residual_block_adds_to_its_input() -> None:
    block = ResidualBlock(3)
    for convolution in block.residual:
        if isinstance(convolution, nn.Conv2d):
            nn.init.zeros_(convolution.weight)
    x = torch.randn(1, 3, 8, 8)
    assert torch.equal(block(x), x)


def test_images_of_a_batch_do_not_influence_each_other() -> None:
    network = Generator(4, 1).eval()
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    assert torch.allclose(network(x)[:1], network(x[:1]), atol=1e-6)


@pytest.mark.parametrize(("side", "patches"), [(32, 2), (64, 6), (256, 30)])
def test_discriminator_gives_a_grid_of_likelihoods(side: int, patches: int) -> None:
    likelihood = Discriminator(2)(torch.rand(1, 3, side, side) * 2 - 1)
    assert likelihood.shape == (1, 1, patches, patches)
    assert ((likelihood > 0) & (likelihood < 1)).all()


def test_likelihood_is_the_sigmoid_of_the_logits() -> None:
    network = Discriminator(2)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.equal(network(x), torch.sigmoid(network.logits(x)))


def test_a_patch_is_70_pixels_wide_and_high() -> None:
    network = Discriminator(4)
    for i, layer in enumerate(network.score):
        if isinstance(layer, nn.InstanceNorm2d):  # whose mean and variance see the whole image
            network.score[i] = nn.Identity()
    x = torch.rand(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    network.double().logits(x)[0, 0, 7, 7].backward()
    seen = x.grad[0].abs().sum(0) > 0
    top, left = seen.nonzero().min(0).values.tolist()
    bottom, right = seen.nonzero().max(0).values.tolist()
    assert (bottom - top + 1, right - left + 1) == (70, 70)
    assert seen.sum() == 70 * 70
    assert top > 0  # not cut off by the border
    assert bottom < 127


def test_parameters_of_the_reference_preset_are_those_of_the_paper() -> None:
    size, discriminator_filters = PRESETS["reference"]
    # 7x7 and two 3x3 down, 9 blocks of two 3x3, two 3x3 up, 7x7 with bias; 4x4 all through with biases at the ends
    generator = 3 * 64 * 49 + 9 * (64 * 128 + 128 * 256 + 18 * 256**2 + 256 * 128 + 128 * 64) + 64 * 3 * 49 + 3
    discriminator = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512) + 64 + 1
    with torch.device("meta"):
        assert count(Generator(*size)) == generator == 11_372_931
        assert count(Discriminator(discriminator_filters)) == discriminator == 2_763_841


def test_the_compact_generator_is_less_than_a_twentieth_of_the_reference() -> None:
    with torch.device("meta"):
        reference, compact, tiny = (count(Generator(*PRESETS[name][0])) for name in ("reference", "compact", "tiny"))
    assert (compact, tiny) == (493_155, 274_764)
    assert compact < reference / 20


def test_a_size_is_the_presets_unless_it_is_set() -> None:
    assert size_of({"preset": "compact"}) == Size(16, 6)
    assert size_of({"preset": "reference", "blocks": 3}) == Size(64, 3)
    assert size_of({"preset": "compact", "filters": 24}) == Size(24, 6)
    assert size_of({"preset": "tiny", "generator_norm": "none"}) == Size(12, 6, "none", folded=True)


def test_a_discriminator_is_the_presets() -> None:
    with torch.device("meta"):
        for preset, filters in (("compact", 48), ("reference", 64)):
            assert count(patch_discriminator_of({"preset": preset})) == count(Discriminator(filters))


def test_convolutions_start_at_a_fiftieth() -> None:
    weights = torch.cat([m.weight.flatten() for m in Generator(16, 2).modules() if isinstance(m, nn.Conv2d)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert weights.mean().item() == pytest.approx(0, abs=5e-4)


@pytest.mark.parametrize("folded", [False, True])
def test_a_new_generator_without_norms_is_not_saturated(folded: bool) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        image = Generator(16, 6, "none", folded)(torch.rand(1, 3, 64, 64) * 2 - 1)
    assert 0.02 < image.std() < 0.5


def test_sizes_replace_those_of_the_preset() -> None:
    with torch.device("meta"):
        assert count(generator_of({"preset": "compact"})) == count(Generator(16, 6))
        assert count(generator_of({"preset": "compact", "filters": 8})) == count(Generator(8, 6))
        assert count(generator_of({"preset": "reference", "blocks": 3})) == count(Generator(64, 3))


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_the_receptive_radius_is_how_far_a_pixel_reaches(blocks: int, folded: bool) -> None:
    torch.manual_seed(0)
    network = Generator(4, blocks, "none", folded).double().eval()
    radius, side = receptive_radius(network), 160
    image = torch.rand(1, 3, side, side, dtype=torch.double) - 0.5
    reached = 0
    with torch.no_grad():
        before = network(image)
        for place in range(side // 2, side // 2 + 4):
            changed = image.clone()
            changed[:, :, place] += 1
            rows = (network(changed) != before).any(dim=3).any(dim=1)[0].nonzero()
            reached = max(reached, int((rows - place).abs().max()))
    assert reached == radius


def test_with_norms_a_pixel_reaches_everywhere() -> None:
    assert receptive_radius(Generator(4, 1)) is None


@pytest.mark.parametrize(("preset", "radius"), [("compact", 63), ("tiny", 59)])
def test_the_radius_of_a_preset(preset: Preset, radius: int) -> None:
    assert receptive_radius(Generator(*PRESETS[preset][0]._replace(norm="none"))) == radius
