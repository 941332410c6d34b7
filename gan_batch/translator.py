"""Translates image files as the service does, in one process: reads, decodes, computes, encodes, writes."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gan_batch.manifest import Entry
from gan_batch.storage import BatchError, Folder
from imaging.names import Encoded, translation_format, translation_name
from service.card import SizeRule, read_card
from service.errors import Problem
from service.images import codecs, detail
from service.images.preprocess import InputSpec, Size, prepare
from service.images.tiles import Tiling
from service.runtime.cpu import PROVIDER as CPU
from service.runtime.devices import Devices
from service.runtime.slots import Slot
from service.settings import Settings

AHEAD = 1
"""Threads beyond those that compute: they read, decode and encode meanwhile."""


class Translator:
    """A model with its session. Ray makes one a process; `batches` of names come in."""

    def __init__(
        self, source: str, target: str, model: str, size: Size | None, detail: bool, format: Encoded | None, device: str
    ) -> None:
        """Loads a model.

        `source`, `target`: fsspec addresses of the folders. `model`: the model's folder. `device`: cpu or cuda. Raises
        CardError or DeviceError when the model does not run.
        """
        folder = Path(model)
        card = read_card(folder)
        settings = Settings.model_validate({"device": device, "threads": 1})
        loaded = Devices(settings).load(folder, card)
        self._source, self._target = Folder(source), Folder(target)
        self._session, self._limit = loaded.session, settings.image_pixels
        self._rule, self._detail, self._format = cast(SizeRule, card.size), detail, format
        gpu = loaded.session.provider != CPU
        self._spec = InputSpec(size, self._rule, settings.image_pixels, settings.model_pixels, gpu)
        self._slots: Queue[Slot] = Queue()
        for slot in loaded.slots.all:
            self._slots.put(slot)
        self._threads = ThreadPoolExecutor(len(loaded.slots.all) + AHEAD, "translate")

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, list[str | None]]:
        """Translates the images named in the column `image`; returns the columns of `Entry`."""
        entries = self.translate(map(str, batch["image"]))
        return {name: [getattr(entry, name) for entry in entries] for name in Entry.__dataclass_fields__}

    def translate(self, names: Iterable[str]) -> list[Entry]:
        """Translates images; returns an entry for each. An image that fails has its problem there."""
        return list(self._threads.map(self._translate, names))

    def _translate(self, name: str) -> Entry:
        kind = translation_format(name, self._format)
        translation = translation_name(name, kind)
        try:
            self._target.write(translation, self._file(self._source.read(name), kind))
        except Problem as problem:
            return Entry(name, translation, problem.kind, problem.detail)
        except (OSError, BatchError) as error:
            return Entry(name, translation, "storage-failed", f"{type(error).__name__}: {error}")
        except Exception as error:  # of ONNX Runtime or an encoder: one image does not end a run of a million
            return Entry(name, translation, "translation-failed", f"{type(error).__name__}: {error}")
        return Entry(name, translation)

    def _file(self, body: bytes, kind: Encoded) -> bytes:
        """The translated image file."""
        image = prepare(body, self._spec)
        codecs.check_side(image.size, kind)
        if self._spec.tiled:
            tiling = Tiling(image.inputs, self._rule)
            for row in tiling.rows:
                tiling.put(row, self._run(tiling.cut(row)))
            pixels = tiling.output
        else:
            (pixels,) = self._run(image.inputs)
        if self._detail and image.size != image.model_size:
            return detail.render(body, image.inputs[0], pixels, kind, self._limit)
        return codecs.from_model(pixels, image.size, kind)

    def _run(self, inputs: NDArray[np.uint8]) -> NDArray[np.uint8]:
        slot = self._slots.get()
        try:  # on the slot's own thread, as CUDA graphs need it
            return slot.thread.submit(self._session.run, slot, inputs, False).result()
        finally:
            self._slots.put(slot)
