"""The framework's limit: a bare FastAPI route that returns one constant image, served as the service is."""

import io
import sys

import uvicorn
from fastapi import FastAPI, Response
from PIL import Image

app = FastAPI()
_buffer = io.BytesIO()
Image.new("L", (28, 28)).save(_buffer, "PNG")
IMAGE = _buffer.getvalue()


@app.get("/mnist/sample")
async def constant() -> Response:
    """The same bytes for every request."""
    return Response(IMAGE, media_type="image/png")


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
