import json
import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from service.card import CARD_FILE, HALF_FILE, MODEL_FILE, CardError, sha256_of
from service.errors import Problem
from service.registry import Registry
from service.runtime import cuda_driver
from service.settings import Settings
from service.telemetry.metrics import Metrics

Publish = Callable[..., Path]
Load = Callable[[], Registry]


@pytest.fixture
def load(tmp_path: Path, make_settings: Callable[..., Settings]) -> Load:
    """`load()`: the registry of what was published under tmp_path."""
    return lambda: Registry(make_settings(models=tmp_path), Metrics())


def test_the_default_is_the_highest_version(tmp_path: Path, publish: Publish, load: Load) -> None:
    for version in ("9", "10", "2"):
        publish(tmp_path, "mnist", version)
    registry = load()
    assert registry.find("sample", None, None).id == "mnist/10"
    assert [model.id for model in registry.models] == ["mnist/2", "mnist/9", "mnist/10"]


def test_folders_that_are_none_of_ours_are_passed_over(tmp_path: Path, publish: Publish, load: Load) -> None:
    publish(tmp_path, "mnist")
    (tmp_path / "lost+found").mkdir(mode=0)
    (tmp_path / "__MACOSX" / "mnist").mkdir(parents=True)
    (tmp_path / "mnist" / ".new").mkdir()
    (tmp_path / "notes.txt").write_text("ours")
    assert [model.id for model in load().models] == ["mnist/1"]


def test_a_folder_with_an_invalid_name_is_passed_over_and_told_once(
    tmp_path: Path, publish: Publish, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    publish(tmp_path, "mnist")
    for name in (b"MNIST_wide", b"line\nERROR forged", b"\x1b[31mred", b"\xff"):
        publish(tmp_path / "new", "mnist").parent.rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    (tmp_path / "mnist" / "v2\n").mkdir()
    (tmp_path / "mnist" / "3").write_text("no folder")
    (tmp_path / "new").rename(tmp_path / ".new")
    with caplog.at_level("WARNING"):
        assert [[model.id for model in load().models] for _ in range(2)] == [["mnist/1"], ["mnist/1"]]
    told = sorted(caplog.messages)
    named = ["MNIST_wide", "\\x1b[31mred", "line\\nERROR forged", "mnist/3", "mnist/v2\\n", "\\udcff"]
    assert [line.partition("' is passed over: ")[0] for line in told] == sorted(f"'{tmp_path}/{one}" for one in named)


def test_a_version_without_a_card_is_reported(tmp_path: Path, publish: Publish, load: Load) -> None:
    publish(tmp_path, "mnist")
    (tmp_path / "mnist" / "2").mkdir()
    with pytest.raises(CardError, match=r"mnist/2 has no card.json"):
        load()


@pytest.mark.parametrize("file", [MODEL_FILE, HALF_FILE])
def test_weights_in_another_file_are_refused(
    tmp_path: Path, publish: Publish, add_half: Publish, load: Load, file: str
) -> None:
    folder = add_half(publish(tmp_path, "horse2zebra"))
    path, card = folder / file, json.loads((folder / CARD_FILE).read_text())
    model = onnx.load(path)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (folder / "weights.bin").stat().st_size > 0
    (card if file == MODEL_FILE else card["half"])["sha256"] = sha256_of(path)
    (folder / CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(CardError, match=f"{file} keeps weights in another file, which its card's sha256 does not"):
        load()


def test_a_number_is_newer_than_a_word(tmp_path: Path, publish: Publish, load: Load) -> None:
    for version in ("zz", "1", "beta"):
        publish(tmp_path, "mnist", version)
    assert load().find("sample", None, None).id == "mnist/1"


def test_a_variant_is_never_the_default_beside_the_plain_name(tmp_path: Path, publish: Publish, load: Load) -> None:
    publish(tmp_path, "horse2zebra", "1")
    publish(tmp_path, "horse2zebra-reference", "7")
    assert load().find("translate", "horse2zebra", None).id == "horse2zebra/1"


def test_a_variant_alone_is_the_default(tmp_path: Path, publish: Publish, load: Load) -> None:
    publish(tmp_path, "mnist-wide", "3")
    assert load().find("sample", None, None).id == "mnist-wide/3"


def test_each_direction_has_its_default(tmp_path: Path, publish: Publish, load: Load) -> None:
    publish(tmp_path, "horse2zebra", "2")
    publish(tmp_path, "zebra2horse", "1")
    registry = load()
    assert registry.directions == ["horse2zebra", "zebra2horse"]
    assert registry.find("translate", "zebra2horse", None).id == "zebra2horse/1"


def test_a_name_finds_its_newest_version(tmp_path: Path, publish: Publish, load: Load) -> None:
    for version in ("9", "10"):
        publish(tmp_path, "mnist-wide", version)
    publish(tmp_path, "mnist")
    assert load().find("sample", None, "mnist-wide").id == "mnist-wide/10"


def test_a_name_with_version_finds_just_that(tmp_path: Path, publish: Publish, load: Load) -> None:
    for version in ("1", "2"):
        publish(tmp_path, "mnist", version)
    assert load().find("sample", None, "mnist/1").id == "mnist/1"


@pytest.mark.parametrize("wanted", ["mnist/3", "other", "", "horse2zebra", "mnist/1/", "../mnist/1"])
def test_an_unknown_model_is_a_404_that_lists_those_there_are(
    tmp_path: Path, publish: Publish, load: Load, wanted: str
) -> None:
    for name in ("mnist", "horse2zebra"):
        publish(tmp_path, name)
    with pytest.raises(Problem, match="mnist/1") as caught:
        load().find("sample", None, wanted)
    assert (caught.value.status, caught.value.kind) == (404, "unknown-model")
    assert caught.value.extra == {"available": ["mnist/1"]}


def test_an_unknown_direction_is_a_404_that_lists_those_there_are(tmp_path: Path, publish: Publish, load: Load) -> None:
    publish(tmp_path, "horse2zebra")
    with pytest.raises(Problem, match="horse2zebra") as caught:
        load().find("translate", "cat2dog", None)
    assert (caught.value.status, caught.value.kind) == (404, "unknown-direction")
    assert caught.value.extra == {"available": ["horse2zebra"]}


def test_without_a_sampler_sampling_is_a_404(tmp_path: Path, publish: Publish, load: Load) -> None:
    publish(tmp_path, "horse2zebra")
    with pytest.raises(Problem) as caught:
        load().find("sample", None, None)
    assert caught.value.status == 404


def test_no_models_is_an_error_that_says_what_to_do(load: Load) -> None:
    with pytest.raises(CardError, match="gan-export"):
        load()


def test_one_broken_model_stops_all(tmp_path: Path, publish: Publish, load: Load) -> None:
    publish(tmp_path, "horse2zebra")
    publish(tmp_path, "mnist", sha256="0" * 64)
    with pytest.raises(CardError, match="mnist"):
        load()


def test_files_are_named_relative_to_the_models_folder(tmp_path: Path, publish: Publish, load: Load) -> None:
    publish(tmp_path, "mnist")
    registry = load()
    assert registry.relative_file(registry.models[0]) == "mnist/1/model.onnx"


def test_a_digit_asked_for_comes_from_a_sampler_with_labels(tmp_path: Path, publish: Publish, load: Load) -> None:
    for name in ("mnist", "mnist-conditional", "mnist-conditional-wide"):
        publish(tmp_path, name)
    registry = load()
    assert registry.find("sample", None, None, labelled=True).id == "mnist-conditional/1"
    assert registry.find("sample", None, None).id == "mnist/1"
    assert [model.id for model in registry.models if registry.is_default(model)] == ["mnist/1", "mnist-conditional/1"]


def test_a_sampler_without_labels_cannot_be_asked_for_a_digit(tmp_path: Path, publish: Publish, load: Load) -> None:
    for name in ("mnist", "mnist-conditional"):
        publish(tmp_path, name)
    with pytest.raises(Problem, match="mnist-conditional/1") as caught:
        load().find("sample", None, "mnist", labelled=True)
    assert (caught.value.status, caught.value.kind) == (404, "unknown-model")


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (["mnist", "mnist-conditional"], "mnist-conditional"),
        (["mnist", "mnist-conditional"], "mnist-conditional/1"),
        (["mnist-conditional"], None),
    ],
)
def test_a_sampler_with_labels_says_that_it_needs_the_digit(
    tmp_path: Path, publish: Publish, load: Load, there: list[str], wanted: str | None
) -> None:
    for name in there:
        publish(tmp_path, name)
    with pytest.raises(Problem, match="add digit") as caught:
        load().find("sample", None, wanted)
    assert (caught.value.status, caught.value.kind) == (422, "digit-missing")


def test_without_a_sampler_with_labels_a_digit_is_a_404(tmp_path: Path, publish: Publish, load: Load) -> None:
    publish(tmp_path, "mnist")
    with pytest.raises(Problem, match="leave out digit") as caught:
        load().find("sample", None, None, labelled=True)
    assert (caught.value.status, caught.value.kind) == (404, "no-labels")


# half precision


@pytest.fixture
def load_on_cuda(tmp_path: Path, make_settings: Callable[..., Settings]) -> tuple[Metrics, Load]:
    """Metrics, and `load()` with device=auto."""
    metrics = Metrics()
    return metrics, lambda: Registry(make_settings(models=tmp_path, device="auto"), metrics)


def info_of(metrics: Metrics) -> dict[str, str]:
    """Labels of the one model."""
    (family,) = (family for family in metrics.registry.collect() if family.name == "gan_model_info")
    (sample,) = family.samples
    assert sample.value == 1
    return sample.labels


@pytest.mark.usefixtures("seeming_cuda")
def test_the_half_precision_file_that_runs_is_told(
    tmp_path: Path, publish: Publish, add_half: Publish, load_on_cuda: tuple[Metrics, Load]
) -> None:
    add_half(publish(tmp_path, "horse2zebra"))
    metrics, load = load_on_cuda
    registry = load()
    (model,) = registry.models
    assert registry.relative_file(model) == "horse2zebra/1/model.fp16.onnx"
    assert model.artefact == model.card.half_artefact
    assert info_of(metrics) == {
        "model": "horse2zebra/1",
        "version": "1",
        "task": "translate",
        "provider": cuda_driver.PROVIDER,
        "precision": "fp16",
        "sha256": model.card.half.sha256,
    }


def test_a_fallback_to_fp32_is_none_to_the_cpu(
    tmp_path: Path,
    publish: Publish,
    add_half: Publish,
    load_on_cuda: tuple[Metrics, Load],
    seeming_cuda: dict[str, Exception],
) -> None:
    add_half(publish(tmp_path, "horse2zebra"))
    seeming_cuda[HALF_FILE] = RuntimeError("no kernel")
    metrics, load = load_on_cuda
    (model,) = load().models
    assert (model.provider, model.artefact.precision) == (cuda_driver.PROVIDER, "fp32")
    assert model.fallback_reason == "model.fp16.onnx: no kernel"
    assert not model.fell_back_to_cpu
    assert metrics.registry.get_sample_value("gan_device_fallback") == 0
    assert info_of(metrics)["precision"] == "fp32"


def test_a_tampered_half_precision_file_stops_all(
    tmp_path: Path, publish: Publish, add_half: Publish, load: Load
) -> None:
    folder = add_half(publish(tmp_path, "horse2zebra"))
    (folder / HALF_FILE).write_bytes((folder / HALF_FILE).read_bytes() + b"\0")
    with pytest.raises(CardError, match=r"model\.fp16\.onnx has sha256"):
        load()


def test_a_model_is_found_by_its_name_and_version(tmp_path: Path, publish: Publish, load: Load) -> None:
    for name, version in (("mnist", "9"), ("mnist", "10"), ("mnist-wide", "1")):
        publish(tmp_path, name, version)
    registry = load()
    assert [model.id for model in registry.versions("mnist")] == ["mnist/9", "mnist/10"]
    assert registry.version("mnist", None).id == "mnist/10"
    assert registry.version("mnist", "9").id == "mnist/9"
    with pytest.raises(Problem) as caught:
        registry.version("mnist", "1")
    assert (caught.value.kind, caught.value.extra["available"]) == ("unknown-model", ["mnist/9", "mnist/10"])
    with pytest.raises(Problem) as caught:
        registry.versions("mnist-narrow")
    assert (caught.value.status, caught.value.extra["available"]) == (404, ["mnist", "mnist-wide"])
