"""Converts a PyTorch graph to an ONNX model and embeds the card in it."""

from typing import cast

import onnx
import torch
from torch import Tensor, nn

from service.card import METADATA_KEY, ModelCard, TensorSpec

OPSET = 20


def to_onnx(
    graph: nn.Module, example: tuple[Tensor, ...], inputs: tuple[TensorSpec, ...], output: TensorSpec
) -> onnx.ModelProto:
    """Traces `graph` on `example` (batch >= 2), with the card's names of tensors and dynamic axes.

    The exporter's notes are dropped, since they name source files of this machine.
    """
    program = torch.onnx.export(
        graph,
        example,
        dynamo=True,
        external_data=False,
        verbose=False,
        opset_version=OPSET,
        input_names=[spec.name for spec in inputs],
        output_names=[output.name],
        dynamic_shapes=tuple(dict.fromkeys(_dynamic_axes(spec), torch.export.Dim.DYNAMIC) for spec in inputs),
    )
    model: onnx.ModelProto = cast(torch.onnx.ONNXProgram, program).model_proto
    _drop_notes(model.graph)
    renamed = {
        value.type.tensor_type.shape.dim[axis].dim_param: name
        for value, spec in zip(model.graph.input, inputs, strict=True)
        for axis, name in _dynamic_axes(spec).items()
    }
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = renamed.get(dim.dim_param, "")
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def embed_card(model: onnx.ModelProto, card: ModelCard) -> None:
    """Writes the card, without the hashes of the files, into the model's metadata_props."""
    onnx.helper.set_model_props(
        model,
        {
            METADATA_KEY: card.model_dump_json(exclude={"sha256": True, "half": {"sha256"}}),
            "name": card.name,
            "version": card.version,
            "task": card.task,
            **({"direction": card.direction} if card.direction else {}),
        },
    )


def _dynamic_axes(spec: TensorSpec) -> dict[int, str]:
    return {i: axis for i, axis in enumerate(spec.shape) if isinstance(axis, str)}


def _drop_notes(graph: onnx.GraphProto) -> None:
    graph.doc_string = ""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
