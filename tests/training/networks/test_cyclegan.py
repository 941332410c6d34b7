import pytest
import torch
from torch import nn
from torch.nn import functional

from training.networks.cyclegan import (
    PRESETS,
    Blur,
    Discriminator,
    Generator,
    ResidualBlock,
    Size,
    discriminator_of,
    generator_of,
    size_of,
)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("size", [(16, 16), (20, 36), (32, 24), (44, 16)])
def test_generator_keeps_the_size_of_a_picture(size: tuple[int, int]) -> None:
    x = torch.zeros(2, 3, *size)
    assert Generator(4, 1)(x).shape == x.shape
    assert Generator(4, 1, antialias=True)(x).shape == x.shape


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


def test_pictures_of_a_batch_do_not_influence_each_other() -> None:
    network = Generator(4, 1).eval()
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    assert torch.allclose(network(x)[:1], network(x[:1]), atol=1e-6)


@pytest.mark.parametrize(("side", "patches"), [(32, 2), (64, 6), (256, 30)])
def test_discriminator_gives_a_grid_of_likelihoods(side: int, patches: int) -> None:
    for antialias in (False, True):
        likelihood = Discriminator(2, antialias)(torch.rand(1, 3, side, side) * 2 - 1)
        assert likelihood.shape == (1, 1, patches, patches)
        assert ((likelihood > 0) & (likelihood < 1)).all()


def test_likelihood_is_the_sigmoid_of_the_logits() -> None:
    network = Discriminator(2)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.equal(network(x), torch.sigmoid(network.logits(x)))


def test_a_patch_is_70_pixels_wide_and_high() -> None:
    network = Discriminator(4)
    for i, layer in enumerate(network.score):
        if isinstance(layer, nn.InstanceNorm2d):  # whose mean and variance see the whole picture
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
    filters, blocks, discriminator_filters = PRESETS["reference"]
    # 7x7 and two 3x3 down, 9 blocks of two 3x3, two 3x3 up, 7x7 with bias; 4x4 all through with biases at the ends
    generator = 3 * 64 * 49 + 9 * (64 * 128 + 128 * 256 + 18 * 256**2 + 256 * 128 + 128 * 64) + 64 * 3 * 49 + 3
    discriminator = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512) + 64 + 1
    with torch.device("meta"):
        assert count(Generator(filters, blocks)) == generator == 11_372_931
        assert count(Discriminator(discriminator_filters)) == discriminator == 2_763_841


def test_the_compact_generator_is_less_than_a_twentieth_of_the_reference() -> None:
    with torch.device("meta"):
        compact, reference = (count(Generator(*PRESETS[name][:2])) for name in ("compact", "reference"))
    assert compact == 493_155
    assert compact < reference / 20


def test_a_size_is_the_presets_unless_it_is_set() -> None:
    assert size_of({"preset": "compact"}) == Size(16, 6)
    assert size_of({"preset": "reference", "blocks": 3, "antialias": "all"}) == Size(64, 3, antialias=True)
    assert size_of({"preset": "compact", "filters": 24, "antialias": "discriminators"}) == Size(24, 6)


def test_a_discriminator_is_the_presets_unless_it_is_set() -> None:
    with torch.device("meta"):
        for filters, settings in ((48, {}), (48, {"discriminator_filters": None}), (24, {"discriminator_filters": 24})):
            assert count(discriminator_of({"preset": "compact", **settings})) == count(Discriminator(filters))


def test_half_the_contrast_is_invisible_under_instance_normalisation_and_seen_under_spectral() -> None:
    x = 20 * (torch.rand(1, 3, 64, 64) - 0.5)  # far above the epsilon of the normalisation
    for norm, expected in (("instance", 1), ("spectral", 0.5)):  # biases begin at zero
        network = discriminator_of({"preset": "compact", "discriminator_filters": 8, "discriminator_norm": norm}).eval()
        with torch.no_grad():
            torch.testing.assert_close(network.logits(x / 2), expected * network.logits(x), rtol=1e-2, atol=1e-2)


def test_spectral_normalisation_bounds_every_layer_but_the_last() -> None:
    network = discriminator_of({"preset": "compact", "discriminator_filters": 4, "discriminator_norm": "spectral"})
    assert not any(isinstance(m, nn.InstanceNorm2d) for m in network.modules())
    for _ in range(50):  # each look takes one step of the power iteration
        network.logits(torch.zeros(1, 3, 32, 32))
    convolutions = [m for m in network.score if isinstance(m, nn.Conv2d)]
    steepest = [float(torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2)) for m in convolutions]
    assert steepest[:-1] == pytest.approx([1] * 4, rel=0.03)
    assert steepest[-1] < 0.9


def test_convolutions_start_at_a_fiftieth() -> None:
    weights = torch.cat([m.weight.flatten() for m in Generator(16, 2).modules() if isinstance(m, nn.Conv2d)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)
    assert weights.mean().item() == pytest.approx(0, abs=5e-4)


def test_a_blur_keeps_what_is_even_and_drops_the_finest_stripes() -> None:
    even, stripes = torch.full((1, 2, 8, 8), 0.7), torch.tensor([1.0, -1.0]).repeat(1, 2, 8, 4)
    torch.testing.assert_close(Blur(2)(even), even)
    assert Blur(2)(stripes).abs().max() < 1e-6
    assert Blur(2, stride=2)(even).shape == (1, 2, 4, 4)
    assert not Blur(2).state_dict()


def test_a_blur_after_repeated_pixels_is_bilinear_inside() -> None:
    x = torch.rand(1, 2, 8, 8)
    ours = Blur(2)(functional.interpolate(x, scale_factor=2, mode="nearest"))
    bilinear = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(ours[..., 1:-1, 1:-1], bilinear[..., 1:-1, 1:-1])


def shift_error(network: nn.Module) -> float:
    """How much a shift by the pixels of one patch's step, of a picture that goes round, is not one of the output."""
    with torch.no_grad():
        x = torch.rand(1, 3, 64, 64) * 2 - 1
        whole, half = (network(torch.roll(x, pixels, dims=3)) for pixels in (0, 1))
        inside = slice(16, -16)
        moved = torch.roll(whole, 1, dims=3)
        return float((half - moved)[..., inside, inside].abs().mean() / whole[..., inside, inside].std())


def test_an_antialiased_generator_follows_a_shift_by_a_pixel_better() -> None:
    torch.manual_seed(0)
    plain, smooth = Generator(8, 1), Generator(8, 1, antialias=True)
    for ours, theirs in zip(smooth.parameters(), plain.parameters(), strict=True):
        ours.data.copy_(theirs)
    assert shift_error(smooth) < 0.7 * shift_error(plain)


def test_an_antialiased_discriminator_still_sees_the_finest_stripes() -> None:
    network, grey = Discriminator(4, antialias=True), torch.zeros(1, 3, 64, 64)
    stripes = torch.tensor([1.0, -1.0]).repeat(1, 3, 64, 32)
    first = network.score[:3]
    assert (first(stripes) - first(grey)).abs().max() > 1e-2


def test_antialiasing_has_no_weights() -> None:
    for network in (Generator(4, 1), Discriminator(4)):
        smooth = type(network)(4, *([1] if isinstance(network, Generator) else []), antialias=True)
        assert count(smooth) == count(network)


def test_sizes_replace_those_of_the_preset() -> None:
    with torch.device("meta"):
        assert count(generator_of({"preset": "compact"})) == count(Generator(16, 6))
        assert count(generator_of({"preset": "compact", "filters": 8})) == count(Generator(8, 6))
        assert count(generator_of({"preset": "reference", "blocks": 3})) == count(Generator(64, 3))
        smooth = generator_of({"preset": "compact", "antialias": "all"})
        assert sum(isinstance(m, Blur) for m in smooth.modules()) == 4
        assert not any(
            isinstance(m, Blur) for m in generator_of({"preset": "compact", "antialias": "discriminators"}).modules()
        )
