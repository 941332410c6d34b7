import numpy as np
import pytest

from service.card import ModelCard, Parity, TensorSpec, Training
from service.runtime.inputs import check_outputs, feeder, latent_inputs, probe_inputs, seed_inputs
from service.runtime.latents import latents

SEEDS, LABELS = np.array([3, 2**64 - 1, 0], np.uint64), np.array([7, 0, 9])


def card(labelled: bool) -> ModelCard:
    def spec(name: str, type: str, *shape: str | int) -> TensorSpec:
        return TensorSpec.model_validate({"name": name, "type": type, "shape": shape, "range": "all"})

    return ModelCard(
        name="mnist",
        version="1",
        task="sample",
        latent=8,
        input=spec("z", "float32", "N", 8),
        label=spec("label", "int64", "N") if labelled else None,
        output=spec("digits", "uint8", "N", 28, 28),
        training=Training(images=1, dataset={}, config={}, git_commit="a", torch="2"),
        parity=Parity(max_difference=0, differing_share=0.0, tolerance=1, checked=("1",)),
        export_git_commit="b",
    )


@pytest.mark.parametrize("labelled", [False, True])
def test_seeds_and_their_latent_vectors_feed_a_model_the_same(labelled: bool) -> None:
    feed, labels = feeder(card(labelled)), LABELS if labelled else None
    of_seeds, of_vectors = feed(seed_inputs(SEEDS, labels)), feed(latent_inputs(latents(SEEDS, 8), labels))
    assert of_seeds.keys() == of_vectors.keys() == ({"z", "label"} if labelled else {"z"})
    for name, array in of_seeds.items():
        assert (array.dtype, array.shape) == (of_vectors[name].dtype, of_vectors[name].shape)
        assert (array == of_vectors[name]).all()
        assert of_vectors[name].flags.c_contiguous


@pytest.mark.parametrize("labels", [None, LABELS])
def test_requests_of_latent_vectors_join_to_a_batch(labels: np.ndarray | None) -> None:
    vectors = latents(SEEDS, 8)
    whole = latent_inputs(vectors, labels)
    parts = [latent_inputs(vectors[i : i + 1], None if labels is None else labels[i : i + 1]) for i in range(3)]
    assert (np.concatenate(parts) == whole).all()
    assert (whole.shape, whole.size) == ((3,), 3)  # an element an item, as the estimate of the queue's time wants it


def test_the_outputs_of_the_card_pass() -> None:
    check_outputs(card(False), probe_inputs(card(False)), [np.zeros((1, 28, 28), np.uint8)])


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        ([], "0 outputs, expected one"),
        ([np.zeros((1, 28, 28), np.uint8)] * 2, "2 outputs"),
        ([np.zeros((1, 28, 28), np.float32)], "float32"),
        ([np.zeros((2, 28, 28), np.uint8)], r"uint8 \(2, 28, 28\), expected uint8 \(1, 28, 28\)"),
        ([np.zeros((1, 1, 28, 28), np.uint8)], r"expected uint8 \(1, 28, 28\)"),
    ],
)
def test_other_outputs_are_refused(outputs: list[np.ndarray], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_outputs(card(False), probe_inputs(card(False)), outputs)
