from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.half import FULL_OPERATORS, to_half, with_roundings
from export.onnx_file import OPSET
from service.card import MODEL_FILE


@pytest.fixture(scope="module")
def full(published: Path) -> onnx.ModelProto:
    return onnx.load(published / "horse2zebra" / "1" / MODEL_FILE)


@pytest.fixture(scope="module")
def half(full: onnx.ModelProto) -> onnx.ModelProto:
    return to_half(full)


@pytest.fixture(scope="module")
def types(half: onnx.ModelProto) -> dict[str, int]:
    """Element type of every tensor."""
    graph = onnx.shape_inference.infer_shapes(half, strict_mode=True).graph
    values = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}
    return values | {weights.name: weights.data_type for weights in graph.initializer}


def test_the_model_itself_is_left_alone(full: onnx.ModelProto) -> None:
    before = full.SerializeToString(deterministic=True)
    to_half(full)
    assert full.SerializeToString(deterministic=True) == before


def test_inputs_and_outputs_stay_what_they_are(full: onnx.ModelProto, half: onnx.ModelProto) -> None:
    assert list(half.graph.input) == list(full.graph.input)
    assert [(v.name, v.type.tensor_type.elem_type) for v in half.graph.output] == [("translation", TensorProto.UINT8)]
    assert list(half.opset_import) == list(full.opset_import) == [helper.make_opsetid("", OPSET)]


def test_convolutions_and_what_lies_between_them_are_in_half_precision(
    half: onnx.ModelProto, types: dict[str, int]
) -> None:
    nodes = half.graph.node
    places = [place for place, node in enumerate(nodes) if node.op_type == "Conv"]
    inside = [n for n in nodes[places[0] : places[-1] + 1] if n.op_type not in {"Cast", *FULL_OPERATORS}]
    assert {node.op_type for node in inside} == {"Conv", "Relu", "Pad", "Add", "Resize"}
    assert {types[name] for node in inside for name in node.output} == {TensorProto.FLOAT16}
    assert {types[node.input[1]] for node in inside if node.op_type == "Conv"} == {TensorProto.FLOAT16}


def test_normalisation_and_the_scaling_of_pixels_stay_in_fp32(
    half: onnx.ModelProto, full: onnx.ModelProto, types: dict[str, int]
) -> None:
    scaling = {"Div", "Sub", "Tanh", "Mul", "Round", "Clip"}
    nodes = [node for node in half.graph.node if node.op_type in {*scaling, *FULL_OPERATORS}]
    assert {node.op_type for node in nodes} == {*scaling, *FULL_OPERATORS}
    assert len(nodes) == len([node for node in full.graph.node if node.op_type in {*scaling, *FULL_OPERATORS}])
    assert {types[name] for node in nodes for name in (*node.input, *node.output) if name} == {TensorProto.FLOAT}


def test_no_cast_follows_another(half: onnx.ModelProto) -> None:
    casts = {node.output[0] for node in half.graph.node if node.op_type == "Cast"}
    assert not [node.name for node in half.graph.node if node.op_type == "Cast" and node.input[0] in casts]


def test_weights_take_half_the_room(full: onnx.ModelProto, half: onnx.ModelProto) -> None:
    sizes = [
        sum(len(w.raw_data) for w in m.graph.initializer if w.data_type in {TensorProto.FLOAT, TensorProto.FLOAT16})
        for m in (full, half)
    ]
    assert 0.5 <= sizes[1] / sizes[0] < 0.55


def product(factor: float) -> onnx.ModelProto:
    """x (N,) in half precision -> x * factor / factor."""
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "factor"], ["large"], name="multiply"),
            helper.make_node("Div", ["large", "factor"], ["y"], name="divide"),
        ],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, ["N"])],
        [numpy_helper.from_array(np.array(factor, np.float16), "factor")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


@pytest.mark.parametrize(
    "level", [ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL]
)
def test_roundings_show_what_the_cpu_leaves_out(level: ort.GraphOptimizationLevel) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    x = np.array([0.1, 3, 2000], np.float16)

    def run(model: onnx.ModelProto) -> np.ndarray:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, {"x": x})[0]

    for factor in (7, 100):  # 2000 * 100 is beyond half precision
        with np.errstate(over="ignore"):
            expected = x * np.float16(factor) / np.float16(factor)
        assert run(with_roundings(product(factor))).tolist() == expected.tolist()
    assert np.isinf(expected[-1])
    assert run(product(100))[-1] == 2000, "the CPU rounds by itself now: with_roundings has become superfluous"
