"""A translation's model in half precision, for GPUs: ONNX Runtime's own converter, told what to leave in fp32."""

import onnx
from onnx import NodeProto, TensorProto, helper
from onnxruntime.transformers.onnx_model import OnnxModel

FULL_OPERATORS = ("InstanceNormalization",)
"""Left in fp32 wherever they stand: sums of squares leave half precision's range (onnxruntime #10079)."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a translation's model that computes in half precision from its first to its last convolution.

    What stands before and behind, the scaling of pixels, stays in fp32; inputs and outputs stay what they are.
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
    """A model that computes on the CPU what a GPU does with `half`: in fp32, each result rounded to half precision.

    ONNX Runtime's CPU provider widens half-precision operands too, but leaves the roundings in between out, and so
    would miss results that are beyond half precision's range.
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
