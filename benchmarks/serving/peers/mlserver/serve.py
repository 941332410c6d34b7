"""Starts MLServer in this process (no parallel workers: the batcher is then beside the handler, without a hop)."""

import asyncio
import sys
import tempfile
from pathlib import Path

from mlserver import MLServer, ModelSettings, Settings

sys.path.insert(0, str(Path(__file__).resolve().parent))
from runtimes import DigitRuntime, TranslationRuntime

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from model import DIGITS_A_BATCH, IMAGES_A_BATCH

BATCH_SECONDS = 0.001


async def main(port: int) -> None:
    """Serves until it is told to stop."""
    settings = Settings(
        host="127.0.0.1",
        http_port=port,
        grpc_port=port + 1,
        metrics_port=port + 2,
        metrics_dir=tempfile.mkdtemp(prefix="mlserver-"),
        parallel_workers=0,
        debug=False,
        gzip_enabled=False,
    )
    models = [
        ModelSettings(
            name=name, implementation=kind, max_batch_size=size, max_batch_time=BATCH_SECONDS, parameters={"uri": "."}
        )
        for name, kind, size in (
            ("digits", DigitRuntime, DIGITS_A_BATCH),
            ("translation", TranslationRuntime, IMAGES_A_BATCH),
        )
    ]
    await MLServer(settings).start(models)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
