import pytest
import torch
from torch.linalg import svdvals
from torch.nn.utils.parametrize import is_parametrized

from training.networks.gan import Discriminator, Generator


@pytest.mark.parametrize(("latent", "width", "n"), [(64, 32, 2), (5, 3, 7)])
def test_generator_turns_noise_into_digits(latent: int, width: int, n: int) -> None:
    assert Generator(latent, width)(torch.randn(n, latent)).shape == (n, 1, 28, 28)


def test_generated_pixels_lie_between_minus_one_and_one_however_large_the_noise() -> None:
    digits = Generator(4, 2).eval()(1e6 * torch.randn(8, 4))
    assert digits.abs().max() <= 1
    assert digits.min() < 0 < digits.max()


def test_different_noise_gives_different_digits() -> None:
    one, other = Generator(4, 2).eval()(torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]))
    assert not torch.allclose(one, other)


def test_discriminator_gives_one_likelihood_an_image() -> None:
    likelihood = Discriminator(2)(torch.rand(5, 1, 28, 28) * 2 - 1)
    assert likelihood.shape == (5,)
    assert ((likelihood > 0) & (likelihood < 1)).all()


def test_likelihood_is_the_sigmoid_of_the_logits() -> None:
    network = Discriminator(2).eval()
    x = torch.rand(5, 1, 28, 28) * 2 - 1
    assert torch.equal(network(x), 1 / (1 + (-network.logits(x)).exp()))


def test_likelihood_is_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert Discriminator(2)(torch.zeros(1, 1, 28, 28)).dtype is torch.float32


def test_spectral_norm_keeps_convolutions_at_singular_value_one() -> None:
    network = Discriminator(4, spectral=True)
    layers = [layer for layer in network.features if is_parametrized(layer)]
    assert len(layers) == 2
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight.original.mul_(10)  # what would break the bound without it
        for _ in range(30):
            network(torch.zeros(1, 1, 28, 28))
    for layer in layers:
        assert svdvals(layer.weight.flatten(1)).max().item() == pytest.approx(1, abs=0.02)


def test_without_spectral_norm_the_layers_are_plain() -> None:
    assert not any(is_parametrized(layer) for layer in Discriminator(4).features)


def test_the_last_layer_is_free_of_the_spectral_norm() -> None:
    network, x = Discriminator(2, spectral=True).eval(), torch.rand(1, 1, 28, 28) * 2 - 1
    logit = network.logits(x)
    with torch.no_grad():
        for parameter in network.score.parameters():
            parameter.mul_(10)
    assert torch.allclose(network.logits(x), 10 * logit)


def test_a_label_changes_the_digit_and_the_verdict() -> None:
    generator, z = Generator(4, 2, classes=10).eval(), torch.randn(1, 4).expand(10, 4)
    digits = generator(z, torch.arange(10))
    assert len({digit.detach().numpy().tobytes() for digit in digits}) == 10
    discriminator = Discriminator(2, classes=10)
    logits = discriminator.logits(digits[:1].expand(10, -1, -1, -1), torch.arange(10))
    assert len(set(logits.tolist())) == 10


def test_a_label_enters_by_its_projection() -> None:
    network, x = Discriminator(2, classes=3), torch.rand(1, 1, 28, 28) * 2 - 1
    without, features = network.logits(x), network.features(x)
    for label in range(3):
        added = (features * network.classes.weight[label]).sum()
        assert torch.allclose(network.logits(x, torch.tensor([label])), without + added)


def test_evaluation_leaves_the_spectral_norm_alone() -> None:
    network = Discriminator(2, spectral=True).eval()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network(torch.zeros(1, 1, 28, 28))
    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())


def test_noise_chooses_clusters_as_often_as_they_were_shared_out() -> None:
    generator = Generator(4, 2, clusters=3)
    generator.set_shares(torch.tensor([0.2, 0.5, 0.3]))
    chosen = generator.cluster(torch.randn(100_000, 4, generator=torch.Generator().manual_seed(0)))
    assert (torch.bincount(chosen) / 100_000).tolist() == pytest.approx([0.2, 0.5, 0.3], abs=0.01)


def test_until_told_otherwise_clusters_are_equally_frequent() -> None:
    chosen = Generator(4, 2, clusters=5).cluster(torch.randn(50_000, 4, generator=torch.Generator().manual_seed(0)))
    assert (torch.bincount(chosen) / 50_000).tolist() == pytest.approx([0.2] * 5, abs=0.01)


def test_the_first_number_of_z_does_no_more_than_choose_the_cluster() -> None:
    generator, z = Generator(4, 2, clusters=2).eval(), torch.randn(3, 4)
    z[:, 0] = torch.tensor([0.1, 2.0, -0.1])
    z[1:, 1:] = z[0, 1:]
    same, as_well, other = generator(z)
    assert torch.allclose(same, as_well)
    assert not torch.allclose(same, other)


def test_the_shares_are_kept_with_the_weights() -> None:
    one, other = Generator(4, 2, clusters=3), Generator(4, 2, clusters=3)
    one.set_shares(torch.tensor([0.1, 0.1, 0.8]))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.thresholds, other.thresholds)
