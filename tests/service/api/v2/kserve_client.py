"""Calls a service with KServe's own client; tests/service/api/v2/test_clients.py runs it in an environment that has it.

Usage: kserve_client.py URL IMAGE. Prints what it got as JSON.
"""

import asyncio
import base64
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def main(url: str, image: bytes) -> None:
    """Asks for digits in JSON and in binary form, and for a translation."""
    got: dict[str, object] = {}
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=60)) as client:
        got["live"] = await client.is_server_live(url)
        got["ready"] = await client.is_server_ready(url)
        got["model_ready"] = await client.is_model_ready(url, "mnist")
        for binary in (False, True):
            seeds = InferInput("seed", [3], "UINT64")
            seeds.set_data_from_numpy(np.array([7, 8, 2**64 - 1], np.uint64), binary_data=binary)
            request = InferRequest("mnist", [seeds], parameters={"binary_data_output": binary})
            digits = (await client.infer(url, request, model_name="mnist")).outputs[0].as_numpy()
            got["digits in binary form" if binary else "digits in JSON"] = {
                "shape": digits.shape,
                "type": str(digits.dtype),
                "sha256": hashlib.sha256(digits.astype(np.uint8).tobytes()).hexdigest(),
            }
        file = InferInput("image_file", [1], "BYTES")
        file.set_data_from_numpy(np.array([image], object), binary_data=True)
        request = InferRequest("horse2zebra", [file], parameters={"format": "png"})
        translated = (await client.infer(url, request, model_name="horse2zebra")).outputs[0].data[0]
        got["translation"] = hashlib.sha256(base64.b64decode(translated)).hexdigest()
        try:
            await client.infer(url, request, model_name="cat2dog")
        except Exception as error:
            got["error"] = str(error)
    print(json.dumps(got))


asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
