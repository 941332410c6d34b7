"""LitServe: a worker process a model, ZeroMQ between it and the HTTP server, batches of the waiting requests."""

import sys
from pathlib import Path
from typing import Annotated

import litserve
from fastapi import Body, Response

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from model import DIGITS_A_BATCH, IMAGES_A_BATCH, Digits, Translator

BATCH_SECONDS = 0.001
Encoded = Annotated[bytes, Body(media_type="application/octet-stream")]


class DigitAPI(litserve.LitAPI):
    """POST /mnist/sample -> image/png."""

    def setup(self, device: str) -> None:
        """Loads the model in the worker."""
        self.model = Digits()

    def decode_request(self, request: Encoded) -> bytes:
        """The body, which is ignored."""
        return request

    def predict(self, bodies: list[bytes]) -> list[bytes]:
        """A batch."""
        return self.model.respond(len(bodies))

    def encode_response(self, output: bytes) -> Response:
        """Raw bytes instead of JSON."""
        return Response(output, media_type="image/png")


class TranslationAPI(litserve.LitAPI):
    """POST /translate/horse2zebra -> image/jpeg."""

    def setup(self, device: str) -> None:
        """Loads the model in the worker."""
        self.model = Translator()

    def decode_request(self, request: Encoded) -> bytes:
        """The body; the batch is decoded in threads."""
        return request

    def predict(self, bodies: list[bytes]) -> list[bytes]:
        """A batch."""
        return self.model.respond(list(bodies))

    def encode_response(self, output: bytes) -> Response:
        """Raw bytes instead of JSON."""
        return Response(output, media_type="image/jpeg")


if __name__ == "__main__":
    apis = [
        DigitAPI(max_batch_size=DIGITS_A_BATCH, batch_timeout=BATCH_SECONDS, api_path="/mnist/sample"),
        TranslationAPI(max_batch_size=IMAGES_A_BATCH, batch_timeout=BATCH_SECONDS, api_path="/translate/horse2zebra"),
    ]
    server = litserve.LitServer(apis, accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
