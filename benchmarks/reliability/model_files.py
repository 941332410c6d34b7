"""Model files as hostile input: a service with live models meets files that are made to break it."""

import asyncio
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from benchmarks.reliability.clients import Tally, digit, load
from benchmarks.reliability.process import Service, serving
from benchmarks.reliability.reloads import copy_bundled, noticed, publish, rehash, seen
from benchmarks.reliability.report import Finding
from service.card import CARD_FILE, MODEL_FILE

MIB = 2**20
Break = Callable[[Path], object]


def _model(nodes: list[onnx.NodeProto], *weights: TensorProto) -> onnx.ModelProto:
    """z (N, 100) -> digits, by `nodes`."""
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 100])],
        [helper.make_tensor_value_info("digits", TensorProto.UINT8, None)],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _put(model: onnx.ModelProto) -> Break:
    def put(folder: Path) -> None:
        (folder / MODEL_FILE).write_bytes(model.SerializeToString())
        rehash(folder)

    return put


def _external(location: str) -> Break:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[100], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "400")):
        weight.external_data.add(key=key, value=value)
    add, cast = helper.make_node("Add", ["z", "w"], ["s"]), helper.make_node("Cast", ["s"], ["digits"], to=2)
    return _put(_model([add, cast], weight))


def _claims(elements: int) -> Break:
    """A tensor that claims more elements than the file has."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[elements], raw_data=b"\0" * 400)
    add, cast = helper.make_node("Add", ["z", "w"], ["s"]), helper.make_node("Cast", ["s"], ["digits"], to=2)
    return _put(_model([add, cast], weight))


def _inflates(elements: int) -> Break:
    """A few bytes that become `elements` numbers when the graph runs, as a zip bomb does."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [elements])
    fill, cast = (
        helper.make_node("ConstantOfShape", ["shape"], ["s"]),
        helper.make_node("Cast", ["s"], ["digits"], to=2),
    )
    return _put(_model([fill, cast], shape))


def _never_ends() -> Break:
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes_on"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("goes_on", TensorProto.BOOL, [])],
    )
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    most = helper.make_tensor("most", TensorProto.INT64, [], [2**62])
    return _put(
        _model(
            [
                helper.make_node("Loop", ["most", "true"], [], body=body),
                helper.make_node("Cast", ["z"], ["digits"], to=2),
            ],
            true,
            most,
        )
    )


def _nested(depth: int) -> Break:
    """Graphs in graphs, deeper than a parser's stack."""
    true = helper.make_tensor("true", TensorProto.BOOL, [], [True])
    inner = helper.make_node("Cast", ["z"], ["digits"], to=2)
    for _ in range(depth):
        graph = helper.make_graph([inner], "g", [], [helper.make_tensor_value_info("digits", TensorProto.UINT8, None)])
        inner = helper.make_node("If", ["true"], ["digits"], then_branch=graph, else_branch=graph)
        if len(inner.SerializeToString()) > 8 * MIB:
            break
    return _put(_model([inner], true))


def _flipped(seed: int) -> Break:
    """Bytes of the real model, changed at random places, with the right hash."""

    def flip(folder: Path) -> None:
        content, places = bytearray((folder / MODEL_FILE).read_bytes()), random.Random(seed)
        for _ in range(places.choice((1, 16, 256))):
            content[places.randrange(len(content) if seed % 2 else 4096)] = places.randrange(256)
        (folder / MODEL_FILE).write_bytes(content)
        rehash(folder)

    return flip


def _instead(make: Break) -> Break:
    def put(folder: Path) -> None:
        (folder / MODEL_FILE).unlink()
        make(folder / MODEL_FILE)

    return put


def _large_card(folder: Path) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    card["training"]["config"]["padding"] = "x" * (64 * MIB)
    (folder / CARD_FILE).write_text(json.dumps(card))


def _deep_card(folder: Path) -> None:
    (folder / CARD_FILE).write_text("[" * 10**6)


FILES: dict[str, Break] = {
    "weights in a file outside": _external("../../secret"),
    "weights at an absolute path": _external("/etc/hostname"),
    "weights in a file beside": _external("weights.bin"),
    "a tensor that claims 2**40 elements": _claims(2**40),
    "a tensor that claims 2**63 - 1 elements": _claims(2**63 - 1),
    "400 GB from ten bytes": _inflates(10**11),
    "6 GB from ten bytes": _inflates(3 * 2**29),
    "a loop without an end": _never_ends(),
    "graphs in graphs": _nested(18),
    "no bytes": _instead(lambda path: path.write_bytes(b"")),
    "a link to /dev/zero": _instead(lambda path: path.symlink_to("/dev/zero")),
    "a pipe": _instead(lambda path: os.mkfifo(path)),
    "a folder": _instead(lambda path: path.mkdir()),
    "a card of 64 MB": _large_card,
    "a card of a million brackets": _deep_card,
}
QUICK = ("a tensor that claims 2**40 elements", "a link to /dev/zero")


def model_files(folder: Path, short: bool) -> Finding:
    """Files made to break the service are put into its models folder while it serves."""
    files = {name: FILES[name] for name in QUICK} if short else dict(FILES)
    if not short:
        files |= {f"changed bytes {seed}": _flipped(seed) for seed in range(40)}
    root, failed = folder / "models", list[str]()
    copy_bundled(root)
    with serving(folder, "--models", str(root)) as service:
        before = service.resident_bytes
        served, tally = asyncio.run(_offer(service, root, files, failed))
        failed += [f"{count} x {ending}" for ending, count in tally.others(200).items()]
        failed += service.rests()
        after = service.resident_bytes
    return Finding(
        "model-files",
        "model files and cards that are made to break the service, in its models folder under load",
        f"{len(files)} files",
        failed,
        "nothing: the loaded models served every request",
        {
            "refused": len(files) - len(served),
            "changed bytes that still make a model": len(served),
            "MiB before and after": f"{before / MIB:.0f}, {after / MIB:.0f}",
        },
    )


async def _offer(service: Service, root: Path, files: dict[str, Break], failed: list[str]) -> tuple[list[str], Tally]:
    """Puts each file into the folder. Returns the names of those that were loaded, and how other requests ended."""
    served: list[str] = []
    async with load(service.port, [digit, digit], 0.05) as tally:
        for number, (name, breaks) in enumerate(files.items()):
            version = f"mnist/{1000 + number}"
            await asyncio.to_thread(publish, root, "mnist", version.partition("/")[2], breaks)
            if not await noticed(service, version):
                failed.append(f"{name}: not noticed")
            loaded, _ = await asyncio.to_thread(seen, service)
            if version in loaded:
                served.append(name)
                if not name.startswith("changed bytes"):
                    failed.append(f"{name}: loaded")
    return served, tally
