from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from export.parity import ParityError, check_half_parity, check_parity

PIXELS = 1000


class Copy(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image


class Widen(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.to(torch.int32)


class Pad(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([image, image])


@pytest.fixture(scope="session")
def off_by() -> Callable[..., bytes]:
    """`off_by(levels, pixels)`: a model that copies 1000 pixels, but adds grey levels to the first few."""

    def build(levels: int, pixels: int) -> bytes:
        error = np.zeros(PIXELS, np.uint8)
        error[:pixels] = levels
        values = {
            name: helper.make_tensor_value_info(name, TensorProto.UINT8, ["N", PIXELS]) for name in ("image", "answer")
        }
        graph = helper.make_graph(
            [helper.make_node("Add", ["image", "error"], ["answer"])],
            "off",
            [values["image"]],
            [values["answer"]],
            [numpy_helper.from_array(error, "error")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()

    return build


@pytest.fixture
def inputs() -> list[tuple[Tensor]]:
    dice = torch.Generator().manual_seed(0)
    return [(torch.randint(0, 200, (n, PIXELS), dtype=torch.uint8, generator=dice),) for n in (1, 3)]


def test_equal_answers_pass_with_no_difference(off_by: Callable[..., bytes], inputs: list[tuple[Tensor]]) -> None:
    parity = check_parity(off_by(0, 0), Copy(), inputs)
    assert (parity.max_difference, parity.differing_share, parity.tolerance) == (0, 0.0, 1)
    assert parity.checked == ("1x1000", "3x1000")


def test_one_level_in_one_percent_passes_and_is_told(off_by: Callable[..., bytes], inputs: list[tuple[Tensor]]) -> None:
    parity = check_parity(off_by(1, 10), Copy(), inputs)
    assert (parity.max_difference, parity.differing_share) == (1, 0.01)


def test_one_level_in_more_is_refused(off_by: Callable[..., bytes], inputs: list[tuple[Tensor]]) -> None:
    with pytest.raises(ParityError, match=r"1 grey levels in 1\.10%"):
        check_parity(off_by(1, 11), Copy(), inputs)


def test_two_levels_in_one_pixel_are_refused(off_by: Callable[..., bytes], inputs: list[tuple[Tensor]]) -> None:
    with pytest.raises(ParityError, match="up to 2 grey levels"):
        check_parity(off_by(2, 1), Copy(), inputs)


def test_a_difference_does_not_wrap_around(off_by: Callable[..., bytes]) -> None:
    black = torch.zeros(1, PIXELS, dtype=torch.uint8)
    with pytest.raises(ParityError, match="up to 255 grey levels"):
        check_parity(off_by(255, 1), Copy(), [(black,)])


def test_a_difference_in_the_last_input_alone_is_found(off_by: Callable[..., bytes]) -> None:
    class CopyButWhite(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image * (image < 255)

    black, white = torch.zeros(1, PIXELS, dtype=torch.uint8), torch.full((1, PIXELS), 255, dtype=torch.uint8)
    assert check_parity(off_by(0, 0), CopyButWhite(), [(black,)]).max_difference == 0
    with pytest.raises(ParityError):
        check_parity(off_by(0, 0), CopyButWhite(), [(black,), (white,)])


@pytest.mark.parametrize(("graph", "what"), [(Widen(), "int32"), (Pad(), r"\(2, 1000\)")])
def test_another_type_or_shape_is_refused(
    off_by: Callable[..., bytes], inputs: list[tuple[Tensor]], graph: nn.Module, what: str
) -> None:
    with pytest.raises(ParityError, match=what):
        check_parity(off_by(0, 0), graph, inputs)


# half precision


@pytest.mark.parametrize(("levels", "pixels", "mean"), [(8, 10, 0.08), (1, 500, 0.5)])
def test_half_precision_may_differ_by_more_and_says_so(
    off_by: Callable[..., bytes], inputs: list[tuple[Tensor]], levels: int, pixels: int, mean: float
) -> None:
    parity = check_half_parity(onnx.load_from_string(off_by(levels, pixels)), Copy(), inputs)
    assert (parity.mean_difference, parity.max_difference) == (mean, levels)
    assert (parity.mean_tolerance, parity.max_tolerance) == (0.5, 8)
    assert parity.checked == ("1x1000", "3x1000")


@pytest.mark.parametrize(
    ("levels", "pixels", "figures"), [(9, 1, r"0\.01 .* up to 9 "), (1, 510, r"0\.51 .* up to 1 ")]
)
def test_half_precision_that_differs_by_too_much_is_refused_with_figures(
    off_by: Callable[..., bytes], inputs: list[tuple[Tensor]], levels: int, pixels: int, figures: str
) -> None:
    with pytest.raises(ParityError, match=figures):
        check_half_parity(onnx.load_from_string(off_by(levels, pixels)), Copy(), inputs)


@pytest.mark.parametrize(("factor", "fits"), [(200, True), (400, False)])
def test_results_beyond_half_precision_are_found_though_the_cpu_does_not_round(factor: float, fits: bool) -> None:
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.UINT8, ["N", PIXELS]) for name in ("image", "answer")
    }
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT16),
            helper.make_node("Mul", ["real", "factor"], ["large"], name="multiply"),
            helper.make_node("Div", ["large", "factor"], ["again"], name="divide"),
            helper.make_node("Cast", ["again"], ["answer"], to=TensorProto.UINT8),
        ],
        "there and back",
        [values["image"]],
        [values["answer"]],
        [numpy_helper.from_array(np.array(factor, np.float16), "factor")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    inputs = [(torch.arange(PIXELS, dtype=torch.uint8)[None],)]
    assert check_parity(model.SerializeToString(), Copy(), inputs).max_difference <= 1
    if fits:
        assert check_half_parity(model, Copy(), inputs).max_difference <= 1
    else:
        with pytest.raises(ParityError, match=r"up to \d{2,3} .* no model\.fp16\.onnx published"):
            check_half_parity(model, Copy(), inputs)
