"""Converts a translation's model to half precision for GPUs, with ONNX Runtime's converter."""

import onnx
from onnx import NodeProto, TensorProto, helper
from onnxruntime.transformers.onnx_model import OnnxModel

FULL_OPERATORS = ("InstanceNormalization",)
"""Operators that stay in fp32: sums of squares exceed half precision's range (onnxruntime #10079)."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a translation's model that computes in half precision from its first to its last convolution.

    The scaling of pixels before and after stays in fp32, and inputs and outputs keep their types.
    """
    nodes = model.graph.node
    convolutions = [place for place, node in enumerate(nodes) if node.op_type == "Conv"]
    outside = [*nodes[: convolutions[0]], *nodes[convolutions[-1] + 1 :]]
    half = OnnxModel(_copy(model))
    half.convert_float_to_float16(
        use_symbolic_shape_infer=False,
        op_block_list=list(FULL_OPERATORS),
        node_block_list=[node.name for node in outside],
    )
    half.remove_cascaded_cast_nodes()  # the converter leaves one, in front of the last Cast of the model
    half.topological_sort()
    del half.model.graph.value_info[:]
    onnx.checker.check_model(half.model, full_check=True)
    return half.model


def with_roundings(half: onnx.ModelProto) -> onnx.ModelProto:
    """A model that simulates `half` on a GPU: it computes in fp32 and rounds each result to half precision.

    ONNX Runtime's CPU provider widens half-precision operands as well, but omits the roundings in between, and so
    misses results beyond half precision's range.
    """
    model = onnx.shape_inference.infer_shapes(half)
    graph = model.graph
    values = (*graph.value_info, *graph.input, *graph.output)
    narrow = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT16}
    narrow |= {weights.name for weights in graph.initializer if weights.data_type == TensorProto.FLOAT16}
    nodes: list[NodeProto] = []
    for original in graph.node:
        node = NodeProto.FromString(original.SerializeToString())
        before, behind = [], []
        if node.op_type != "Cast":
            for place, name in enumerate(node.input):
                if name in narrow:
                    node.input[place] = f"{name}_for_{node.name}_{place}"
                    before.append(helper.make_node("Cast", [name], [node.input[place]], to=TensorProto.FLOAT))
            for place, name in enumerate(node.output):
                if name in narrow:
                    node.output[place] = f"{name}_unrounded"
                    behind.append(helper.make_node("Cast", [node.output[place]], [name], to=TensorProto.FLOAT16))
        nodes += [*before, node, *behind]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.ModelProto.FromString(model.SerializeToString())
