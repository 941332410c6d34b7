"""Calls every route with the client that openapi-python-client generates: URL of the service, image, output folder."""

import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from ganclient import Client
from ganclient.api.mnist import interpolate_digits, sample_chosen_digits, sample_digits
from ganclient.api.models import list_models
from ganclient.api.status import check_live, check_ready, check_startup, get_metrics
from ganclient.api.translate import translate_image
from ganclient.models import DigitChoice, Health, ImageForm, ModelList, Problem
from ganclient.types import File

service, image, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
client = Client(base_url=service)


def write(operation: str, call: Callable[[], bytes]) -> None:
    """Writes what a call returns, or its error, to a file named after the operation."""
    try:
        (out / operation).write_bytes(call())
    except Exception as error:
        (out / f"{operation}.error").write_text(repr(error))


def digits() -> bytes:
    found = sample_digits.sync(client=client, seed="9007199254740993", count=4)
    assert isinstance(found, File)
    return found.payload.read()


def between() -> bytes:
    found = interpolate_digits.sync(client=client, from_="9007199254740993", to="7", steps=3)
    assert isinstance(found, File)
    return found.payload.read()


def chosen() -> bytes:
    found = sample_chosen_digits.sync(client=client, body=DigitChoice(seeds=["9007199254740993", "7"]))
    assert isinstance(found, File)
    return found.payload.read()


def translation() -> bytes:
    body = ImageForm(file=File(payload=BytesIO(image.read_bytes()), file_name=image.name, mime_type="image/png"))
    found = translate_image.sync("horse2zebra", client=client, body=body, size="128")
    assert isinstance(found, File)
    return found.payload.read()


def models() -> bytes:
    found = list_models.sync(client=client)
    assert isinstance(found, ModelList)
    return " ".join(model.id for model in found.models).encode()


def health(check: Callable[..., object]) -> bytes:
    found = check(client=client)
    assert isinstance(found, Health)
    return str(found.status).encode()


def problem() -> bytes:
    body = File(payload=BytesIO(image.read_bytes()))
    found = translate_image.sync("cat2dog", client=client, body=body)
    assert isinstance(found, Problem)
    return f"{found.status} {found.type_}".encode()


write("sampleDigits", digits)
write("interpolateDigits", between)
write("sampleChosenDigits", chosen)
write("translateImage", translation)
write("listModels", models)
write("checkLive", lambda: health(check_live.sync))
write("checkReady", lambda: health(check_ready.sync))
write("checkStartup", lambda: health(check_startup.sync))
write("getMetrics", lambda: (get_metrics.sync(client=client) or "").encode())
write("problem", problem)
