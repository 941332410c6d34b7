from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training import checkpoint
from training.data.mnist import Digits
from training.evaluation.digit_classifier import cached_classifier, classify, fit_classifier
from training.networks.classifier import DigitClassifier

Draw = Callable[..., Digits]


def same_weights(one: DigitClassifier, other: DigitClassifier) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def accuracy(network: DigitClassifier, digits: Digits) -> float:
    """Share of digits labelled right."""
    return float((classify(network, digits.images) == digits.labels).double().mean())


def test_digits_that_are_easily_told_apart_are(draw_digits: Draw) -> None:
    network = fit_classifier(draw_digits(1280), epochs=2)
    assert accuracy(network, draw_digits(300, seed=1)) > 0.97


def test_the_same_seed_fits_the_same_classifier(draw_digits: Draw) -> None:
    digits = draw_digits(128)
    assert same_weights(fit_classifier(digits, seed=1), fit_classifier(digits, seed=1))
    assert not same_weights(fit_classifier(digits, seed=1), fit_classifier(digits, seed=2))


def test_a_fitted_classifier_is_frozen(draw_digits: Draw) -> None:
    network = fit_classifier(draw_digits(128))
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_labels_do_not_depend_on_how_many_are_asked_at_once(draw_digits: Draw) -> None:
    network, digits = fit_classifier(draw_digits(256)), draw_digits(1003, seed=1)
    labels = classify(network, digits.images)
    assert labels.shape == (1003,)
    assert torch.equal(labels[998:], classify(network, digits.images[998:]))


def test_a_classifier_is_fitted_once_a_data_set(
    tmp_path: Path, draw_digits: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    digits = draw_digits(128)
    first = cached_classifier(tmp_path, digits)
    assert "fitting the digit classifier" in capsys.readouterr().out
    again = cached_classifier(tmp_path, digits)
    assert not capsys.readouterr().out
    assert same_weights(first, again)
    assert not again.training
    assert not any(p.requires_grad for p in again.parameters())


@pytest.mark.parametrize("others", [128, 384], ids=["fewer", "more"])
def test_a_classifier_of_other_digits_is_replaced(
    tmp_path: Path, draw_digits: Draw, capsys: pytest.CaptureFixture[str], others: int
) -> None:
    cached_classifier(tmp_path, draw_digits(256))
    digits = draw_digits(others, seed=1)
    replaced = cached_classifier(tmp_path, digits)
    assert same_weights(replaced, fit_classifier(digits))
    capsys.readouterr()
    assert same_weights(cached_classifier(tmp_path, digits), replaced)
    assert not capsys.readouterr().out
    assert checkpoint.read(tmp_path)["dataset"] == digits.sha256


@pytest.mark.parametrize("harm", ["truncated", "another network"])
def test_a_kept_classifier_that_is_of_no_use_is_fitted_anew(
    tmp_path: Path, draw_digits: Draw, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    digits = draw_digits(128)
    first = cached_classifier(tmp_path, digits)
    (file,) = checkpoint.list_checkpoints(tmp_path)
    if harm == "truncated":
        file.write_bytes(file.read_bytes()[:1000])
    else:
        checkpoint.write(tmp_path, {"images": 256, "dataset": digits.sha256, "network": {}})
    assert same_weights(cached_classifier(tmp_path, digits), first)
    assert "cannot be used" in capsys.readouterr().out
    cached_classifier(tmp_path, digits)
    assert not capsys.readouterr().out
