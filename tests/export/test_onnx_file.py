from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from torch import nn

from export.onnx_file import OPSET, embed_card
from service.card import METADATA_KEY, MODEL_FILE, ModelCard, read_card
from training.networks import cyclegan

NAMES = ("mnist", "horse2zebra", "zebra2horse")


@pytest.fixture
def sampler(published: Path) -> onnx.ModelProto:
    return onnx.load(published / "mnist" / "1" / MODEL_FILE)


@pytest.fixture
def translator(published: Path) -> onnx.ModelProto:
    return onnx.load(published / "horse2zebra" / "1" / MODEL_FILE)


def axes_of(value: onnx.ValueInfoProto) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def run(model: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {model.graph.input[0].name: batch})[0]


def test_a_sampler_names_its_tensors_and_axes(sampler: onnx.ModelProto) -> None:
    (z,), (digits,) = sampler.graph.input, sampler.graph.output
    assert (z.name, axes_of(z), z.type.tensor_type.elem_type) == ("z", ["N", 4], onnx.TensorProto.FLOAT)
    assert (digits.name, axes_of(digits)) == ("digits", ["N", 28, 28])
    assert digits.type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_a_translator_names_its_tensors_and_axes(translator: onnx.ModelProto) -> None:
    (image,), (translation,) = translator.graph.input, translator.graph.output
    assert (image.name, axes_of(image)) == ("image", ["N", "H", "W", 3])
    assert (translation.name, axes_of(translation)[0], axes_of(translation)[3]) == ("translation", "N", 3)
    assert image.type.tensor_type.elem_type == translation.type.tensor_type.elem_type == onnx.TensorProto.UINT8


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_sampler_takes_any_batch(sampler: onnx.ModelProto, n: int) -> None:
    z = np.random.default_rng(0).standard_normal((n, 4)).astype(np.float32)
    digits = run(sampler, z)
    assert (digits.shape, digits.dtype) == ((n, 28, 28), np.uint8)
    assert len({digit.tobytes() for digit in digits}) == n


@pytest.mark.parametrize("shape", [(1, 16, 16, 3), (2, 20, 36, 3), (5, 64, 16, 3)])
def test_a_translator_takes_any_batch_and_size(translator: onnx.ModelProto, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    translation = run(translator, image)
    assert (translation.shape, translation.dtype) == (shape, np.uint8)
    assert translation.std() > 0


def test_every_instance_norm_is_one_operator(translator: onnx.ModelProto) -> None:
    operators = [node.op_type for node in translator.graph.node]
    norms = [module for module in cyclegan.Generator(4, 1).modules() if isinstance(module, nn.InstanceNorm2d)]
    assert operators.count("InstanceNormalization") == len(norms) == 7
    assert not {"ReduceMean", "BatchNormalization"} & set(operators)


def test_only_standard_operators_are_used(sampler: onnx.ModelProto, translator: onnx.ModelProto) -> None:
    for model in (sampler, translator):
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]
        assert list(model.functions) == []


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_the_file_names_this_machine(published: Path, gan_checkpoint: Path, name: str) -> None:
    content = (published / name / "1" / MODEL_FILE).read_bytes()
    repository = str(Path(__file__).parents[2])
    for place in ("/root", "/work", "/tmp", "home", "site-packages", ".py", repository, str(gan_checkpoint.parent)):
        assert place.encode() not in content


@pytest.mark.parametrize("name", NAMES)
def test_nodes_carry_no_notes_of_the_exporter(published: Path, name: str) -> None:
    graph = onnx.load(published / name / "1" / MODEL_FILE).graph
    parts = [graph, *graph.node, *graph.input, *graph.output, *graph.initializer]
    assert [part.name for part in parts if part.doc_string or part.metadata_props] == []


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_inside_the_file(published: Path, name: str) -> None:
    model = onnx.load(published / name / "1" / MODEL_FILE, load_external_data=False)
    assert model.graph.initializer
    assert not any(weights.external_data for weights in model.graph.initializer)


def test_embed_card_writes_the_card_without_the_files_hash(published: Path, sampler: onnx.ModelProto) -> None:
    card = read_card(published / "mnist" / "1")
    embed_card(sampler, card)
    properties = {prop.key: prop.value for prop in sampler.metadata_props}
    assert ModelCard.model_validate_json(properties.pop(METADATA_KEY)) == card.model_copy(update={"sha256": None})
    assert properties == {"name": "mnist", "version": "1", "task": "sample"}


def test_embed_card_replaces_the_card_before(published: Path, translator: onnx.ModelProto) -> None:
    card = read_card(published / "horse2zebra" / "1").model_copy(update={"version": "77"})
    embed_card(translator, card)
    properties = [(prop.key, prop.value) for prop in translator.metadata_props]
    assert len(properties) == len(dict(properties)) == 5
    assert dict(properties)["version"] == "77"
    assert dict(properties)["direction"] == "horse2zebra"
