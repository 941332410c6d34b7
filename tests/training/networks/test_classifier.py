import torch

from training.networks.classifier import DigitClassifier


def test_classifier_gives_a_logit_for_each_digit() -> None:
    assert DigitClassifier()(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_features_are_128_non_negative_numbers() -> None:
    features = DigitClassifier().features(torch.rand(3, 1, 28, 28) * 2 - 1)
    assert features.shape == (3, 128)
    assert (features >= 0).all()
    assert (features > 0).any()


def test_logits_are_linear_in_the_features() -> None:
    network = DigitClassifier()
    x = torch.rand(2, 1, 28, 28)
    assert torch.equal(network(x), network.classify(network.features(x)))
