import pytest
import torch
from torch import nn

from training import rng
from training.networks.efficientnet_lite import TAP_CHANNELS, EfficientNetLite0
from training.networks.projected import ProjectedDiscriminator, RandomMixing


@pytest.fixture
def discriminator(features: EfficientNetLite0) -> ProjectedDiscriminator:
    return ProjectedDiscriminator(features)


def test_there_are_logits_of_four_scales(discriminator: ProjectedDiscriminator) -> None:
    logits = discriminator.logits(torch.rand(2, 3, 64, 128) * 2 - 1)
    assert [scale.shape for scale in logits] == [(2, 1, 64 // stride, 128 // stride) for stride in (8, 16, 16, 32)]


def test_mixing_keeps_the_sizes_of_the_maps() -> None:
    maps = [torch.randn(1, channels, 32 // 2**i, 16 // 2**i) for i, channels in enumerate(TAP_CHANNELS)]
    assert [m.shape for m in RandomMixing()(maps)] == [(1, 64, 32 // 2**i, 16 // 2**i) for i in range(4)]


def test_coarse_maps_reach_all_finer_scales_and_no_others() -> None:
    mixing = RandomMixing()
    maps = [torch.randn(1, channels, 32 // 2**i, 32 // 2**i) for i, channels in enumerate(TAP_CHANNELS)]
    before = mixing(maps)
    for level in range(4):
        changed = [m + 1 if i == level else m for i, m in enumerate(maps)]
        differs = [not torch.equal(a, b) for a, b in zip(mixing(changed), before, strict=True)]
        assert differs == [i <= level for i in range(4)]


def test_mixing_is_fixed(discriminator: ProjectedDiscriminator) -> None:
    assert not any(p.requires_grad for p in discriminator.mixing.parameters())
    learning = {name for name, p in discriminator.named_parameters() if p.requires_grad}
    assert learning == {name for name, _ in discriminator.named_parameters() if name.startswith("heads.")}
    total = torch.stack([scale.sum() for scale in discriminator.logits(torch.rand(1, 3, 32, 32))]).sum()
    total.backward()
    for name, parameter in discriminator.named_parameters():
        assert (parameter.grad is not None) == (name in learning), name


def test_the_same_seed_gives_the_same_mixing(features: EfficientNetLite0) -> None:
    def mixing(seed: int) -> dict[str, torch.Tensor]:
        with rng.seeded(seed, "weights"):
            return ProjectedDiscriminator(features).mixing.state_dict()

    one, same, other = mixing(1), mixing(1), mixing(2)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def test_every_layer_of_a_head_has_spectral_norm_one(discriminator: ProjectedDiscriminator) -> None:
    x = torch.rand(1, 3, 32, 32)
    for _ in range(50):  # every forward pass is a step of the power iteration
        discriminator.logits(x)
    convolutions = [m for m in discriminator.heads.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 12
    norms = [float(torch.linalg.matrix_norm(m.weight.detach().flatten(1), 2)) for m in convolutions]
    assert norms == pytest.approx([1] * 12, rel=0.03)


def test_the_feature_network_is_shared_and_not_saved(features: EfficientNetLite0) -> None:
    discriminators = [ProjectedDiscriminator(features) for _ in "XY"]
    for discriminator in discriminators:
        names = set(discriminator.state_dict())
        assert {name.split(".")[0] for name in names} == {"mixing", "heads"}
        assert not any(module is features for module in discriminator.modules())
    discriminators[1].load_state_dict(discriminators[0].state_dict())
    x = torch.rand(1, 3, 32, 32)
    ours, theirs = (d.eval().logits(x) for d in discriminators)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_features_are_in_float32_under_autocast_on_a_cpu(
    discriminator: ProjectedDiscriminator, features: EfficientNetLite0
) -> None:
    seen: list[torch.dtype] = []
    features.register_forward_hook(lambda _, inputs, maps: seen.extend(m.dtype for m in maps))
    with torch.autocast("cpu", torch.bfloat16):
        logits = discriminator.logits(torch.rand(1, 3, 32, 32).bfloat16())
    assert set(seen) == {torch.float32}
    assert {scale.dtype for scale in logits} == {torch.bfloat16}


def test_gradients_reach_the_image_from_every_scale(discriminator: ProjectedDiscriminator) -> None:
    for scale in range(4):
        x = (torch.rand(1, 3, 32, 32) * 2 - 1).requires_grad_()
        discriminator.logits(x)[scale].sum().backward()
        assert x.grad is not None
        assert x.grad.abs().max() > 0
