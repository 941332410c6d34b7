"""PyTorch graph to ONNX model, and the card inside it."""

from typing import cast

import onnx
import torch
from torch import Tensor, nn

from service.card import METADATA_KEY, ModelCard

OPSET = 20


def to_onnx(
    graph: nn.Module, example: Tensor, input_name: str, output_name: str, axes: dict[int, str]
) -> onnx.ModelProto:
    """Traces `graph` on `example` (batch >= 2) with the `axes` left open, under those names.

    Notes of the exporter that name source lines of this machine are dropped.
    """
    program = torch.onnx.export(
        graph,
        (example,),
        dynamo=True,
        external_data=False,
        verbose=False,
        opset_version=OPSET,
        input_names=[input_name],
        output_names=[output_name],
        dynamic_shapes=(dict.fromkeys(axes, torch.export.Dim.DYNAMIC),),
    )
    model: onnx.ModelProto = cast(torch.onnx.ONNXProgram, program).model_proto
    _drop_notes(model.graph)
    renamed = {model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param: name for axis, name in axes.items()}
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = renamed.get(dim.dim_param, "")
    del model.graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return model


def embed_card(model: onnx.ModelProto, card: ModelCard) -> None:
    """Writes the card, without the file's own hash, into the model's metadata_props."""
    onnx.helper.set_model_props(
        model,
        {
            METADATA_KEY: card.model_dump_json(exclude={"sha256"}),
            "name": card.name,
            "version": card.version,
            "task": card.task,
            **({"direction": card.direction} if card.direction else {}),
        },
    )


def _drop_notes(graph: onnx.GraphProto) -> None:
    graph.doc_string = ""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
