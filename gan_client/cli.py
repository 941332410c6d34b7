"""The `gan-client` command."""

import asyncio
import io
import sys
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliPositionalArg,
    CliSubCommand,
    SettingsConfigDict,
    SettingsError,
    get_subcommand,
)

from gan_client.calls import Format
from gan_client.client import IN_FLIGHT, TIMEOUT_S, AsyncClient
from gan_client.errors import ClientError
from gan_client.folder import Options, Plan, Shard, alone, is_recorded, write_whole
from gan_client.run import choose_model, translate_all
from gan_client.settings import PREFIX

START_S = 10.0
"""Wait for the first response: later a service may restart, but at the beginning it should be there."""
SIDES = 64, 1024
"""Smallest and largest side inside the model that the service takes."""
MISTAKES = (ClientError, SettingsError, OSError)


class _Command(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, use_attribute_docstrings=True, extra="ignore", populate_by_name=True
    )

    url: str | None = None
    """Address of the service; by default that of GAN_CLIENT_URL, else http://127.0.0.1:8000."""
    timeout: float | None = Field(None, gt=0)
    """Seconds for each call, with all its tries; by default 60 for a translation, and 10 for other calls."""

    @property
    def start_s(self) -> float:
        """Seconds for a call that needs a service that is there."""
        return START_S if self.timeout is None else self.timeout


class Models(_Command):
    """List the models of the service: id, task, direction, provider, precision."""


class Sample(_Command):
    """Write digits into a file: .png holds them in rows, .npy as an array (count, 28, 28)."""

    out: CliPositionalArg[Path]
    """File to write, .png or .npy."""
    count: int = Field(1, ge=1, le=1024)
    """Number of digits."""
    seed: int | None = Field(None, ge=0, lt=2**64)
    """Seed of the first digit; by default a random one, which is printed."""
    digit: int | None = Field(None, ge=0, le=9)
    """Sample only this digit."""
    model: str | None = None
    """Model, as name/version."""


class Translate(_Command):
    """Translate images, files or folders of any size, into a folder. The same command continues an interrupted run."""

    paths: CliPositionalArg[list[Path]]
    """Files and folders, and last the folder for the translations."""
    direction: str = "horse2zebra"
    """Direction: horse2zebra or zebra2horse."""
    size: Annotated[int, Field(ge=SIDES[0], le=SIDES[1])] | Literal["native"] | None = None
    """Longest side inside the model, 64 to 1024, or native."""
    detail: Literal["on", "off"] | None = None
    """off: the model's image alone, enlarged."""
    format: Format | None = None
    """Format of the translations; by default that of each image, or PNG."""
    model: str | None = None
    """Model, as name/version; by default the service's default when the run begins."""
    concurrency: int = Field(IN_FLIGHT, ge=1, le=1024)
    """Requests in flight."""
    shard: str = "0/1"
    """i/n: translate only part i (from 0) of n, as one of n processes or machines."""
    failures: Path | None = None
    """File of the failures, in JSON lines; by default failures.jsonl in the output folder, with the shard's number."""


class ClientCommand(BaseSettings):
    """Ask a GAN service for digits and translations.

    An API key is taken from GAN_CLIENT_KEY. Exit status: 0, or 1 when an image could not be translated, or 2 when the
    command cannot be carried out.
    """

    model_config = SettingsConfigDict(cli_prog_name="gan-client", cli_kebab_case=True)

    models: CliSubCommand[Models] = Field(description="List the models.")
    sample: CliSubCommand[Sample] = Field(description="Write digits into a file.")
    translate: CliSubCommand[Translate] = Field(description="Translate files and folders.")


def main() -> None:
    """Carries out a command. Exits with status 2 after an error that the user can correct."""
    try:
        match get_subcommand(CliApp.run(ClientCommand), cli_exit_on_error=False):
            case Models() as command:
                asyncio.run(_models(command))
            case Sample() as command:
                asyncio.run(_sample(command))
            case Translate() as command:
                sys.exit(asyncio.run(_translate(command)))
    except ValidationError as error:
        # the command, its option, and which of several types: each type has an error, and the first says enough
        for option, detail in {found["loc"][1]: found for found in reversed(error.errors())}.items():
            name = str(option).replace("_", "-")
            print(f"gan-client: --{name}: {detail['msg']} (got {detail['input']!r})", file=sys.stderr)
        sys.exit(2)
    except MISTAKES as error:
        print(f"gan-client: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("gan-client: stopped; the same command continues", file=sys.stderr)
        sys.exit(130)


async def _models(command: Models) -> None:
    async with AsyncClient(command.url, timeout=command.start_s) as client:
        for model in await client.models():
            default = "default" if model.default else "-"
            print(model.id, model.task, model.direction or "-", model.provider, model.precision, default, sep="\t")


async def _sample(command: Sample) -> None:
    suffix = command.out.suffix.lower()
    if suffix not in (".png", ".npy"):
        raise ClientError(f"{command.out}: expected a file name that ends with .png or .npy")
    async with AsyncClient(command.url, timeout=command.start_s) as client:
        digits = await client.sample(command.count, seed=command.seed, digit=command.digit, model=command.model)
    file = io.BytesIO()
    if suffix == ".npy":
        np.save(file, digits.array)
    else:
        digits.sheet.save(file, "PNG")
    write_whole(command.out, file.getvalue())
    print(f"{command.out}: {len(digits.array)} digits of {digits.model}, seed {digits.seed}", file=sys.stderr)


async def _translate(command: Translate) -> int:
    shard = Shard.parse(command.shard)
    *inputs, out = command.paths
    if not inputs:
        raise ClientError("expected are files or folders of images, and last the folder for the translations")
    plan = Plan(inputs, out, command.format, shard)
    async with AsyncClient(command.url, timeout=command.start_s) as client:
        model = choose_model(await client.models(), command.direction, command.model)
    options = Options(command.direction, model, command.size, command.detail, command.format)
    is_recorded(out, options)  # or else refused, before anything is sent
    failures = command.failures or out / shard.failures
    async with AsyncClient(command.url, timeout=command.timeout or TIMEOUT_S, waits=False) as client:
        with alone(out, shard):
            summary = await translate_all(client, plan, out, options, command.concurrency, failures)
    text = f"{summary.translated:,} translated, {summary.skipped:,} were there already, {summary.failed:,} failed"
    print(text + (f": see {failures}" if summary.failed else ""), file=sys.stderr)
    return 1 if summary.failed else 0
