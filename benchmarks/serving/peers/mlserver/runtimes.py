"""MLServer: a custom runtime a model; its adaptive batcher merges the requests of its custom HTTP handler."""

import asyncio
import sys
from pathlib import Path

from fastapi import Request, Response
from mlserver import MLModel
from mlserver.context import model_context
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput, ResponseOutput

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from model import Digits, Translator


def _question(body: bytes) -> InferenceRequest:
    return InferenceRequest(inputs=[RequestInput(name="body", shape=[1], datatype="BYTES", data=[body])])


def _first(response: InferenceResponse) -> bytes:
    return response.outputs[0].data.root[0]


class DigitRuntime(MLModel):
    """POST /mnist/sample -> image/png."""

    async def load(self) -> bool:
        """Loads the model."""
        self.digits = Digits()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """A batch, merged along the first axis."""
        count = payload.inputs[0].shape[0]
        responses = await asyncio.to_thread(self.digits.respond, count)
        output = ResponseOutput(name="png", shape=[count], datatype="BYTES", data=responses)
        return InferenceResponse(model_name=self.name, outputs=[output])

    @custom_handler(rest_path="/mnist/sample")
    async def sample(self) -> Response:
        """One digit."""
        with model_context(self.settings):  # the batcher's metrics need it; the v2 route enters it too
            return Response(_first(await self.predict(_question(b"0"))), media_type="image/png")


class TranslationRuntime(MLModel):
    """POST /translate/horse2zebra -> image/jpeg."""

    async def load(self) -> bool:
        """Loads the model."""
        self.translator = Translator()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """A batch, merged along the first axis."""
        bodies = list(payload.inputs[0].data.root)
        responses = await asyncio.to_thread(self.translator.respond, bodies)
        output = ResponseOutput(name="jpeg", shape=[len(responses)], datatype="BYTES", data=responses)
        return InferenceResponse(model_name=self.name, outputs=[output])

    @custom_handler(rest_path="/translate/horse2zebra")
    async def translate(self, request: Request) -> Response:
        """One image."""
        with model_context(self.settings):
            return Response(_first(await self.predict(_question(await request.body()))), media_type="image/jpeg")
