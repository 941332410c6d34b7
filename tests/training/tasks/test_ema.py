import pytest
import torch
from torch import nn

from training.tasks import ema


def networks() -> tuple[nn.Module, nn.Module]:
    """An average at weight 0 of a network at weight 1."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = ema.averaged_copy(network)
    nn.init.ones_(network.weight)
    return average, network


@pytest.mark.parametrize("batch", [1, 4, 20])
def test_half_the_way_is_gone_after_a_half_life_of_images(batch: int) -> None:
    average, network = networks()
    for _ in range(100 // batch):
        ema.update(average, network, images=1_000_000, batch=batch, half_life_images=100)
    assert average.weight.item() == pytest.approx(0.5, abs=1e-5)


def test_one_step_by_hand() -> None:
    average, network = networks()
    ema.update(average, network, images=1_000_000, batch=10, half_life_images=5)
    assert average.weight.item() == pytest.approx(0.75)  # two half-lives


def test_early_the_half_life_is_a_twentieth_of_the_run() -> None:
    average, network = networks()
    ema.update(average, network, images=200, batch=10, half_life_images=1000)
    assert average.weight.item() == pytest.approx(0.5)  # 200 / 20 = 10 images


def test_the_first_step_all_but_forgets_the_initial_weights() -> None:
    average, network = networks()
    ema.update(average, network, images=64, batch=64, half_life_images=10_000)
    assert average.weight.item() == pytest.approx(1, abs=1e-6)  # 1 - 2^-20


def test_buffers_are_copied() -> None:
    network = nn.BatchNorm1d(2)
    average = ema.averaged_copy(network)
    network(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    ema.update(average, network, images=1_000_000, batch=1, half_life_images=1e9)
    assert average.running_mean.tolist() == network.running_mean.tolist() == pytest.approx([0.2, 0.4])
    assert average.num_batches_tracked == 1


def test_an_average_is_frozen_in_evaluation_mode_and_apart_from_its_network() -> None:
    network = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
    average = ema.averaged_copy(network)
    nn.init.constant_(network[0].weight, 7)
    assert not average.training
    assert not average[1].training
    assert not any(p.requires_grad for p in average.parameters())
    assert average[0].weight.item() != 7
    assert network.training
