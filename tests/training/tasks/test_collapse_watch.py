from math import log

import pytest
import torch
from torch import Tensor

from training.tasks.collapse_watch import CollapseWatch

UNIFORM = torch.full((10,), 0.1, dtype=torch.float64)


def stub(digits: Tensor) -> Tensor:
    """A classifier of digits that carry their label in their first pixel."""
    return digits[:, 0, 0, 0].long()


def samples(*labels: int) -> Tensor:
    return torch.tensor(labels, dtype=torch.uint8).reshape(-1, 1, 1, 1).repeat(1, 1, 28, 28)


HEALTHY = samples(*range(10), *range(10))
COLLAPSED = samples(*[3] * 6, *[8] * 3, 1)


def watch(warmup_images: int = 0) -> CollapseWatch:
    return CollapseWatch(stub, UNIFORM, warmup_images)


def test_figures_by_hand() -> None:
    figures, _ = watch().look(COLLAPSED, 0)
    assert figures == {
        "modes": 3,
        # 0.6 ln 6 + 0.3 ln 3 + 0.1 ln 1
        "kl_from_training": pytest.approx(1.4046393678),
        "kl_from_uniform": pytest.approx(1.4046393678),
    }


def test_divergence_is_measured_from_the_training_set() -> None:
    skewed = torch.tensor([0.19, 0.01, *[0.1] * 8], dtype=torch.float64)
    figures, _ = CollapseWatch(stub, skewed, 0).look(HEALTHY, 0)
    assert figures["kl_from_uniform"] == pytest.approx(0)
    assert figures["kl_from_training"] == pytest.approx(0.1 * log(0.1 / 0.19) + 0.1 * log(0.1 / 0.01))


def test_one_bad_tick_does_not_warn_but_two_running_do() -> None:
    watching = watch()
    assert watching.look(COLLAPSED, 100)[1] is None
    assert watching.look(COLLAPSED, 200)[1] is not None


def test_a_warning_goes_on_while_the_collapse_does() -> None:
    watching = watch()
    warnings = [watching.look(COLLAPSED, i)[1] for i in range(4)]
    assert [w is not None for w in warnings] == [False, True, True, True]


def test_a_healthy_generator_is_never_warned_of() -> None:
    watching = watch()
    assert [watching.look(HEALTHY, i)[1] for i in range(5)] == [None] * 5


def test_the_watch_ends_its_warning_when_the_generator_recovers() -> None:
    watching = watch()
    ticks = [COLLAPSED, COLLAPSED, HEALTHY, COLLAPSED, COLLAPSED]
    warned = [watching.look(digits, i)[1] is not None for i, digits in enumerate(ticks)]
    assert warned == [False, True, False, False, True]


def test_ticks_of_the_warm_up_do_not_count() -> None:
    watching = watch(warmup_images=300)
    warned = [watching.look(COLLAPSED, images)[1] is not None for images in (100, 200, 300, 400)]
    assert warned == [False, False, False, True]


def test_eight_digits_in_even_shares_are_no_collapse_and_seven_are() -> None:
    for digits, expected in ((8, False), (7, True)):
        watching = watch()
        watching.look(samples(*range(digits)), 0)
        assert (watching.look(samples(*range(digits)), 1)[1] is not None) == expected


def test_ten_digits_of_which_one_dominates_are_a_collapse() -> None:
    watching, dominated = watch(), samples(*[0] * 31, *range(1, 10))
    figures, _ = watching.look(dominated, 0)
    assert figures["modes"] == 10
    assert figures["kl_from_training"] > 0.5
    assert watching.look(dominated, 1)[1] is not None


def test_the_warning_names_the_digits() -> None:
    watching = watch()
    watching.look(COLLAPSED, 0)
    _, warning = watching.look(COLLAPSED, 1)
    assert warning is not None
    assert warning.startswith("MODE COLLAPSE: 3 of 10 digits")
    assert "KL 1.40 from the training set" in warning
    assert "3: 60%, 8: 30%, 1: 10%" in warning
