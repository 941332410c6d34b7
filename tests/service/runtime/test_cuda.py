"""What a machine without a GPU can see of the CUDA path: options, and lanes over the CPU's memory and provider."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.card import MODEL_FILE, read_card
from service.runtime.cuda import KEPT_BINDINGS, USUAL_SIDE, Lane, choose_batch_size, padded_size, provider_options
from service.runtime.inputs import feeder, latent_inputs, seed_inputs
from service.runtime.io_binding import NO_GRAPH, Binding, HostMemory
from service.runtime.latents import latents
from service.settings import Settings

SIZES = (1, 2, 4)
OpenLane = Callable[..., Lane]


class CountingMemory(HostMemory):
    """Counts the host arrays that are made: each binding makes one an input and one for the output."""

    def __init__(self) -> None:
        self.arrays = 0

    def host(self, shape: tuple[int, ...], dtype: object) -> np.ndarray:
        self.arrays += 1
        return super().host(shape, dtype)


@pytest.fixture
def memory() -> CountingMemory:
    return CountingMemory()


@pytest.fixture
def lane(tmp_path: Path, publish: Callable[..., Path], memory: CountingMemory) -> OpenLane:
    """`lane(name)`: one of the tiny models, prepared, with batches of 1, 2 and 4, and up to 4 images of 256x256."""

    def open_it(name: str, sizes: tuple[int, ...] = SIZES) -> Lane:
        folder = publish(tmp_path, name)
        session = ort.InferenceSession(str(folder / MODEL_FILE), providers=["CPUExecutionProvider"])
        lane = Lane(session, read_card(folder), memory, sizes, images=4, graphs=False)
        lane.prepare()
        return lane

    return open_it


def test_options_follow_the_settings() -> None:
    options = provider_options(Settings(cuda_tf32=False, cuda_conv_search="exhaustive", cuda_memory_bytes=2**30), 1)
    assert options["device_id"] == "1"
    assert options["use_tf32"] == "0"
    assert options["cudnn_conv_algo_search"] == "EXHAUSTIVE"
    assert options["gpu_mem_limit"] == str(2**30)
    assert options["enable_cuda_graph"] == "1"


def test_by_default_memory_is_not_limited_and_convolutions_are_not_timed() -> None:
    options = provider_options(Settings(cuda_graphs=False), 0)
    assert "gpu_mem_limit" not in options
    assert options["cudnn_conv_algo_search"] == "HEURISTIC"
    assert options["enable_cuda_graph"] == "0"


def test_this_onnx_runtime_knows_every_option() -> None:
    provider = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    if not provider.exists():
        pytest.skip("this onnxruntime was built without CUDA")
    library = provider.read_bytes()
    unknown = [name for name in provider_options(Settings(cuda_memory_bytes=2**30), 0) if name.encode() not in library]
    assert unknown == []


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_a_padded_batch_outputs_its_own_rows_alone(lane: OpenLane, rows: int) -> None:
    model = lane("horse2zebra")
    for value in (10, 200):  # what a larger batch left in the buffers does not show
        full = np.full((4, 64, 64, 3), value, np.uint8)
        assert (model.run(full) == 255 - value).all()
        batch = np.random.default_rng(value).integers(0, 256, (rows, 64, 64, 3), dtype=np.uint8)
        assert (model.run(batch) == 255 - batch).all()


def test_outputs_stay_when_the_buffers_are_used_again(lane: OpenLane) -> None:
    model = lane("horse2zebra")
    first = model.run(np.zeros((1, 64, 64, 3), np.uint8))
    model.run(np.full((1, 64, 64, 3), 255, np.uint8))
    assert (first == 255).all()


def test_buffers_are_allocated_once_a_size_and_shape(lane: OpenLane, memory: CountingMemory) -> None:
    model = lane("horse2zebra")
    prepared = memory.arrays
    assert prepared == 2 * len(SIZES)
    for _ in range(5):
        for rows in (1, 2, 3, 4):
            model.run(np.zeros((rows, USUAL_SIDE, USUAL_SIDE, 3), np.uint8))
    assert memory.arrays == prepared
    for _ in range(5):
        model.run(np.zeros((3, 64, 96, 3), np.uint8))
    assert memory.arrays == prepared + 2


def test_the_shapes_least_lately_used_are_given_up(lane: OpenLane, memory: CountingMemory) -> None:
    model = lane("horse2zebra")
    prepared = memory.arrays

    def use(side: int) -> None:
        model.run(np.zeros((1, side, 64, 3), np.uint8))

    for side in range(64, 64 + KEPT_BINDINGS + 1):
        use(side)
        use(65)  # stays in use
    made = memory.arrays
    use(65)
    assert memory.arrays == made == prepared + 2 * (KEPT_BINDINGS + 1)
    use(64)  # was given up
    assert memory.arrays == made + 2


def test_batches_of_digits_carry_their_labels(lane: OpenLane) -> None:
    model = lane("mnist-conditional")
    digits = model.run(np.array([[5, 3], [5, 4], [5, 5]], np.uint64))
    assert np.diff([int(np.unique(digit)[0]) for digit in digits]).tolist() == [25, 25]


@pytest.mark.parametrize(("side", "most"), [(256, 4), (362, 2), (512, 1), (1024, 1)])
def test_large_images_run_fewer_at_a_time(lane: OpenLane, side: int, most: int) -> None:
    assert lane("horse2zebra").batch_size((side, side, 3), 100) == most


def test_a_size_that_only_small_images_reach_is_judged_by_the_largest_that_was_timed(lane: OpenLane) -> None:
    model = lane("horse2zebra", sizes=(1, 2, 4, 8))
    assert model.batch_size((64, 64, 3), 7) == 7  # padded to 8: as long as twice 4


def test_larger_images_run_one_by_one_though_no_batch_of_one_was_timed(lane: OpenLane) -> None:
    assert lane("horse2zebra", sizes=(2, 4)).batch_size((512, 512, 3), 3) == 1


def test_a_binding_copies_only_the_rows_there_are(tmp_path: Path, publish: Callable[..., Path]) -> None:
    copied: list[int] = []

    class Noting(HostMemory):
        def copy(self, to: int, source: int, n_bytes: int) -> None:
            copied.append(n_bytes)
            super().copy(to, source, n_bytes)

    folder = publish(tmp_path, "mnist")
    session = ort.InferenceSession(str(folder / MODEL_FILE), providers=["CPUExecutionProvider"])
    feed = feeder(read_card(folder))
    binding = Binding(session, feed(np.zeros((4, 1), np.uint64)), (4, 28, 28), Noting(), NO_GRAPH)
    output = binding.run(feed(np.array([[7], [8]], np.uint64)), 2)
    assert output.shape == (2, 28, 28)
    assert copied == [2 * 8 * 4, 2 * 784]


# batch sizes


LINEAR = {size: float(size) for size in (1, 2, 4, 8)}
"""A device on which a batch saves nothing."""
FLAT = dict.fromkeys((1, 2, 4, 8), 1.0)
"""A device on which any batch takes as long as one item."""


@pytest.mark.parametrize(("waiting", "now"), [(1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (8, 8), (9, 8), (99, 8)])
def test_where_padding_costs_a_full_batch_runs_first(waiting: int, now: int) -> None:
    assert choose_batch_size(waiting, LINEAR) == now


@pytest.mark.parametrize(("waiting", "now"), [(1, 1), (3, 3), (5, 5), (7, 7), (8, 8), (9, 8)])
def test_where_padding_is_free_all_run_together(waiting: int, now: int) -> None:
    assert choose_batch_size(waiting, FLAT) == now


def test_the_rest_of_a_smaller_batch_counts_at_the_size_it_needs() -> None:
    # 7 of 8: a batch of 8 takes 5, one of 4 takes 3 and the 3 that are left as long again
    assert choose_batch_size(7, {1: 1.0, 4: 3.0, 8: 5.0}) == 7
    # 5 of 8: a batch of 4 and one of 1 take 4
    assert choose_batch_size(5, {1: 1.0, 4: 3.0, 8: 5.0}) == 4


def test_less_than_the_smallest_size_is_padded() -> None:
    assert choose_batch_size(3, {4: 1.0, 8: 2.0}) == 3


@given(
    waiting=st.integers(1, 200),
    seconds=st.dictionaries(st.integers(1, 128), st.floats(1e-6, 10), min_size=1, max_size=8),
)
def test_something_runs_and_never_more_than_waits_or_fits(waiting: int, seconds: dict[int, float]) -> None:
    assert 1 <= choose_batch_size(waiting, seconds) <= min(waiting, max(seconds))


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8)])
def test_rows_are_padded_to_the_next_size(rows: int, size: int) -> None:
    assert padded_size(rows, (1, 2, 4, 8)) == size


def test_more_rows_than_the_largest_size_are_refused() -> None:
    with pytest.raises(ValueError, match="9 items, but batches have at most 8"):
        padded_size(9, (1, 2, 4, 8))


@pytest.mark.parametrize("name", ["mnist", "mnist-conditional"])
@pytest.mark.parametrize("count", [1, 3])
def test_latent_vectors_give_the_digits_of_their_seeds(lane: OpenLane, name: str, count: int) -> None:
    model, seeds = lane(name), np.arange(count, dtype=np.uint64)
    labels = np.arange(count) if name == "mnist-conditional" else None
    digits = model.run(seed_inputs(seeds, labels))
    assert (model.run(latent_inputs(latents(seeds, 8), labels)) == digits).all()
    assert model.batch_size((), 100) == model.batch_size(seed_inputs(seeds, labels).shape[1:], 100)
