"""BentoML: batchable services behind one that speaks the contract, which is how its documentation takes single items.

A batchable endpoint itself takes and returns lists; the front one, an ASGI application mounted with
`bentoml.asgi_app`, sends lists of one.
"""

import sys
from pathlib import Path

import bentoml
from _bentoml_impl.client import proxy2
from fastapi import FastAPI, Request, Response

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from model import DIGITS_A_BATCH, IMAGES_A_BATCH, Digits, Translator

# 1.4.39 closes the connection between its services after every 100 requests, with those in flight on it: they end as
# 500. Without the renewal all of them succeed.
proxy2.SessionManager._should_refresh = lambda self: False

app = FastAPI()


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class DigitModel:
    """Batches digits."""

    def __init__(self) -> None:
        self.model = Digits()

    @bentoml.api(batchable=True, max_batch_size=DIGITS_A_BATCH, max_latency_ms=60_000)
    def sample(self, seeds: list[int]) -> list[bytes]:
        """A batch."""
        return self.model.respond(len(seeds))


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class TranslationModel:
    """Batches images."""

    def __init__(self) -> None:
        self.model = Translator()

    @bentoml.api(batchable=True, max_batch_size=IMAGES_A_BATCH, max_latency_ms=60_000)
    def translate(self, bodies: list[bytes]) -> list[bytes]:
        """A batch."""
        return self.model.respond(list(bodies))


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
@bentoml.asgi_app(app, path="/")
class Front:
    """POST /mnist/sample -> image/png, POST /translate/horse2zebra -> image/jpeg."""

    digits = bentoml.depends(DigitModel)
    images = bentoml.depends(TranslationModel)

    @app.post("/mnist/sample")
    async def sample(self) -> Response:
        """One digit."""
        return Response((await self.digits.to_async.sample([0]))[0], media_type="image/png")

    @app.post("/translate/horse2zebra")
    async def translate(self, request: Request) -> Response:
        """One image."""
        body = await request.body()
        return Response((await self.images.to_async.translate([body]))[0], media_type="image/jpeg")
