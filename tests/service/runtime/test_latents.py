import numpy as np
import pytest

from service.runtime.latents import LARGEST, SEED_RANGE, consecutive_seeds, in_range, interpolated, latents

LAST = 2**64 - 1

# Part of the HTTP contract: these bits (float32, little-endian) never change.
GOLDEN = {
    (0, 4): "638bfb3e db2da33f 0caba83d f88871be",
    (1, 4): "d7de33bf bd7cac3f 1af0923e 979bccbe",
    (42, 4): "0894023f 47d5e93f d449613f de90113f",
    (2**63, 4): "0fad163f 108a26bd 665a993f 065d89be",
    (LAST, 4): "d7ccc6be da8a523f 5a88593f e8d6183e",
    (0, 7): "d533c83e c7fb1abf 72d39e3f 6765063d 33069e3e a4be923f 55271940",
    (1, 7): "f893663e ea4f94bf 86199ebf f1dcf53d 5f8c393f 51af4bbf 2a6bb43e",
    (42, 7): "ab40813f 00e0363e 66bdb1be 8ab9b43f ef83fabd 4ed4f33f e84eee3f",
    (2**63, 7): "3d8ecfbe a4f7433e acccc7bf 6e084cbf 34caa23f 6efd443e 717781bf",
    (LAST, 7): "10a6e73e fbec483f 6ca2bebf 8b53ce3e fc3f51bf 2c33933e 1654893e",
}


@pytest.mark.parametrize(("seed", "length"), GOLDEN)
def test_latents_of_known_seeds_keep_their_bits(seed: int, length: int) -> None:
    assert latents(np.array([seed], np.uint64), length).astype("<f4").tobytes().hex() == GOLDEN[seed, length].replace(
        " ", ""
    )


def test_latents_are_float32_rows() -> None:
    rows = latents(np.array([1, 2, 3], np.uint64), 64)
    assert (rows.shape, rows.dtype) == ((3, 64), np.float32)


@pytest.mark.parametrize("length", [1, 2, 7, 64])
def test_a_row_depends_on_its_own_seed_alone(length: int) -> None:
    seeds = [5, 6, LAST, 5, 0]
    together = latents(np.array(seeds, np.uint64), length)
    alone = np.concatenate([latents(np.array([seed], np.uint64), length) for seed in seeds])
    assert together.tobytes() == alone.tobytes()


def test_equal_seeds_give_equal_rows_and_others_do_not() -> None:
    rows = latents(np.array([5, 6, 5], np.uint64), 8)
    assert (rows[0] == rows[2]).all()
    assert (rows[0] != rows[1]).all()


@pytest.mark.parametrize("length", [1, 3, 65])
def test_odd_lengths_are_filled(length: int) -> None:
    rows = latents(np.arange(200, dtype=np.uint64), length)
    assert rows.shape == (200, length)
    assert (rows.std(axis=0) > 0.5).all()


def test_consecutive_seeds_count_up() -> None:
    assert consecutive_seeds(7, 3).tolist() == [7, 8, 9]


def test_consecutive_seeds_wrap_at_two_to_the_64() -> None:
    assert consecutive_seeds(LAST, 3).tolist() == [LAST, 0, 1]
    assert SEED_RANGE == 2**64


def test_latents_have_the_moments_of_the_normal_distribution() -> None:
    # over consecutive seeds, which is how they are used; tolerances are about 4 standard errors
    values = latents(np.arange(1000, dtype=np.uint64), 100).astype(np.float64).ravel()
    assert values.mean() == pytest.approx(0, abs=0.013)
    assert values.var() == pytest.approx(1, abs=0.018)
    assert (values**3).mean() == pytest.approx(0, abs=0.05)
    assert (values**4).mean() == pytest.approx(3, abs=0.13)


def test_latents_of_neighbouring_seeds_and_places_are_uncorrelated() -> None:
    values = latents(np.arange(1001, dtype=np.uint64), 100).astype(np.float64)
    assert (values[:-1] * values[1:]).mean() == pytest.approx(0, abs=0.013)
    assert (values[:, :-1] * values[:, 1:]).mean() == pytest.approx(0, abs=0.013)
    assert (values[:, :50] * values[:, 50:]).mean() == pytest.approx(0, abs=0.018)  # cosine and sine


@pytest.mark.parametrize(
    ("number", "fits"),
    [(0, True), (LARGEST, True), (-LARGEST, True), (1.1e6, False), (np.nan, False), (-np.inf, False)],
)
def test_numbers_that_overflow_inside_a_model_are_out_of_range(number: float, fits: bool) -> None:
    assert in_range(np.array([[0, 0], [0, number]], np.float32)) is fits


def test_latents_stay_finite() -> None:
    assert np.isfinite(latents(consecutive_seeds(LAST - 20_000, 20_001), 8)).all()


@pytest.mark.parametrize("steps", [2, 3, 64])
def test_interpolated_vectors_lie_on_the_arc_between_the_ends(steps: int) -> None:
    ends = latents(np.array([1, 2], np.uint64), 64)
    vectors = interpolated(ends, steps)
    assert (vectors.shape, vectors.dtype) == ((steps, 64), np.float32)
    assert (vectors[[0, -1]] == ends).all()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    angles = np.arccos(np.clip((unit[:-1] * unit[1:]).sum(axis=1), -1, 1))
    whole = np.arccos(unit[0] @ unit[-1])
    assert angles.sum() == pytest.approx(whole, abs=1e-3)  # the shortest way there is
    norms = np.linalg.norm(vectors, axis=1)
    assert norms.min() > 0.95 * np.linalg.norm(ends, axis=1).min()


def test_between_ends_of_one_length_all_vectors_have_it_and_equal_angles() -> None:
    ends = np.array([[3, 0, 0], [0, 3, 0]], np.float32)
    vectors = interpolated(ends, 4)
    turns = np.radians([0, 30, 60, 90])
    assert vectors == pytest.approx(3 * np.stack([np.cos(turns), np.sin(turns), 0 * turns], axis=1), abs=1e-6)


@pytest.mark.parametrize("end", [1.0, -1.0])
def test_ends_on_one_line_are_joined_by_it(end: float) -> None:
    ends = np.array([[1, 2], [end, 2 * end]], np.float32)
    assert interpolated(ends, 3)[1] == pytest.approx(ends.mean(axis=0))
