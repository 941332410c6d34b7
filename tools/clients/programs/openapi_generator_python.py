"""Calls every route with the client of openapi-generator for Python: URL of the service, image, output folder."""

import sys
from collections.abc import Callable
from pathlib import Path

from ganclient import (
    ApiClient,
    ApiException,
    Configuration,
    DigitChoice,
    MnistApi,
    ModelsApi,
    Problem,
    StatusApi,
    TranslateApi,
)

service, image, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
client = ApiClient(Configuration(host=service))
status = StatusApi(client)


def write(operation: str, call: Callable[[], bytes]) -> None:
    """Writes what a call returns, or its error, to a file named after the operation."""
    try:
        (out / operation).write_bytes(call())
    except Exception as error:
        (out / f"{operation}.error").write_text(repr(error))


def digits() -> bytes:
    return bytes(MnistApi(client).sample_digits(seed="9007199254740993", count=4, format="png"))


def between() -> bytes:
    return bytes(MnistApi(client).interpolate_digits(var_from="9007199254740993", to="7", steps=3, format="png"))


def chosen() -> bytes:
    choice = DigitChoice(seeds=["9007199254740993", "7"])
    return bytes(MnistApi(client).sample_chosen_digits(choice, format="png"))


def translation() -> bytes:
    file = (image.name, image.read_bytes())
    return bytes(TranslateApi(client).translate_image("horse2zebra", file, size="128"))


def problem() -> bytes:
    try:
        TranslateApi(client).translate_image("cat2dog", image.read_bytes())
    except ApiException as error:
        assert isinstance(error.data, Problem)
        return f"{error.data.status} {error.data.type}".encode()
    raise AssertionError("no error")


write("sampleDigits", digits)
write("interpolateDigits", between)
write("sampleChosenDigits", chosen)
write("translateImage", translation)
write("listModels", lambda: " ".join(model.id for model in ModelsApi(client).list_models().models).encode())
write("checkLive", lambda: str(status.check_live().status).encode())
write("checkReady", lambda: str(status.check_ready().status).encode())
write("checkStartup", lambda: str(status.check_startup().status).encode())
write("getMetrics", lambda: status.get_metrics().encode())
write("problem", problem)
