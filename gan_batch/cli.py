"""The `gan-batch` command."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, CliPositionalArg, SettingsConfigDict, SettingsError

from gan_batch.manifest import Options
from gan_batch.run import FAILURES, run
from gan_batch.storage import BatchError, Folder
from imaging.names import Encoded
from service.card import CardError, read_card, version_order
from service.images.preprocess import MAXIMUM_SIZE, MINIMUM_SIDE
from service.settings import BUNDLED_MODELS


class BatchCommand(BaseSettings):
    """Translate the images of a folder on a Ray cluster, into another folder. The same command continues a run.

    Folders are paths that all nodes reach, or addresses such as s3://bucket/folder. RAY_ADDRESS names the cluster; by
    default it is this machine. Exit status: 0, or 1 when an image could not be translated, or 2 when the command cannot
    be carried out.
    """

    model_config = SettingsConfigDict(
        cli_prog_name="gan-batch", cli_kebab_case=True, use_attribute_docstrings=True, env_prefix="GAN_BATCH_"
    )

    images: CliPositionalArg[str]
    """Folder of images."""
    out: CliPositionalArg[str]
    """Folder for the translations."""
    direction: str = "horse2zebra"
    """Direction of the bundled model: horse2zebra or zebra2horse."""
    model: Path | None = None
    """Folder of a published model, at the same place on all nodes; by default the newest bundled one of --direction."""
    size: Annotated[int, Field(ge=MINIMUM_SIDE, le=MAXIMUM_SIZE)] | Literal["native"] | None = None
    """Longest side inside the model, 64 to 1024, or native."""
    detail: Literal["on", "off"] = "on"
    """off: the model's image alone, enlarged."""
    format: Encoded | None = None
    """Format of the translations; by default that of each image, or PNG."""


def main() -> None:
    """Translates a folder. Exits with status 2 after an error that the user can correct."""
    try:
        sys.exit(_run(CliApp.run(BatchCommand)))
    except ValidationError as error:
        # a value of several types has an error for each: the first says enough
        for option, detail in {found["loc"][0]: found for found in reversed(error.errors())}.items():
            print(f"gan-batch: --{option}: {detail['msg']} (got {detail['input']!r})", file=sys.stderr)
        sys.exit(2)
    except (BatchError, CardError, SettingsError, OSError) as error:
        print(f"gan-batch: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("gan-batch: stopped; the same command continues", file=sys.stderr)
        sys.exit(130)


def _run(command: BatchCommand) -> int:
    folder = command.model or _newest(command.direction)
    card = read_card(folder.resolve())
    options = Options(
        f"{card.name}/{card.version}", card.full_artefact.sha256, command.size, command.detail, command.format
    )
    summary = run(_folder(command.images), _folder(command.out), str(folder.resolve()), options)
    text = f"{summary.translated:,} translated, {summary.skipped:,} were there already, {summary.failed:,} failed"
    print(text + (f": see {FAILURES} in {command.out}" if summary.failed else ""), file=sys.stderr)
    return 1 if summary.failed else 0


def _folder(address: str) -> Folder:
    """A folder; a path becomes absolute, since nodes have other working folders."""
    return Folder(address if "://" in address else str(Path(address).resolve()))


def _newest(direction: str) -> Path:
    versions = [path for path in (BUNDLED_MODELS / direction).glob("*") if path.is_dir()]
    if not versions:
        there = ", ".join(sorted(path.name for path in BUNDLED_MODELS.glob("*2*")))
        raise BatchError(f"--direction: the bundled models are {there}, not {direction}")
    return max(versions, key=lambda path: version_order(path.name))
