"""Triton 2.51 from nvidia-pytriton, Python backend: KServe v2 with the encoded bytes in a BYTES tensor.

Its dynamic batcher has no delay: a batch is all requests that wait when the model is free.
"""

import sys
from pathlib import Path

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from model import DIGITS_A_BATCH, IMAGES_A_BATCH, Digits, Translator


def _column(responses: list[bytes]) -> np.ndarray:
    column = np.empty((len(responses), 1), dtype=object)
    column[:, 0] = responses
    return column


def main(port: int) -> None:
    """Serves until it is told to stop."""
    digits, translator = Digits(), Translator()

    @batch
    def sample(body: np.ndarray) -> dict[str, np.ndarray]:
        return {"png": _column(digits.respond(len(body)))}

    @batch
    def translate(body: np.ndarray) -> dict[str, np.ndarray]:
        return {"jpeg": _column(translator.respond([bytes(row[0]) for row in body]))}

    config = TritonConfig(
        http_address="127.0.0.1", http_port=port, grpc_port=port + 1, metrics_port=port + 2, log_verbose=0
    )
    with Triton(config=config) as triton:
        for name, function, output, size in (
            ("digits", sample, "png", DIGITS_A_BATCH),
            ("translation", translate, "jpeg", IMAGES_A_BATCH),
        ):
            triton.bind(
                model_name=name,
                infer_func=function,
                inputs=[Tensor(name="body", dtype=bytes, shape=(1,))],
                outputs=[Tensor(name=output, dtype=bytes, shape=(1,))],
                config=ModelConfig(max_batch_size=size, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
            )
        triton.serve()


if __name__ == "__main__":
    main(int(sys.argv[1]))
