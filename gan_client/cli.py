"""The `gan-client` command."""

import asyncio
import sys
from pathlib import Path
from typing import Literal

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

from gan_client.calls import Format, Size
from gan_client.client import IN_FLIGHT, TIMEOUT_S, AsyncClient, Client
from gan_client.errors import ClientError
from gan_client.folder import Options, Plan, Shard, record
from gan_client.run import Summary, choose_model, translate_all
from gan_client.settings import PREFIX

START_S = 10.0
"""Longest wait for the first response: later a service may restart, but at the beginning it should be there."""
MISTAKES = (ClientError, SettingsError, OSError)


class _Command(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, use_attribute_docstrings=True, extra="ignore", populate_by_name=True
    )

    url: str | None = None
    """Address of the service; by default that of GAN_CLIENT_URL, else http://127.0.0.1:8000."""
    timeout: float = Field(TIMEOUT_S, gt=0)
    """Seconds for each call, with all its tries."""


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

    paths: CliPositionalArg[list[Path]] = Field(min_length=2)
    """Files and folders, and last the folder for the translations."""
    direction: str = "horse2zebra"
    """Direction: horse2zebra or zebra2horse."""
    size: Size | None = None
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
        match get_subcommand(CliApp.run(ClientCommand)):
            case Models() as command:
                _models(command)
            case Sample() as command:
                _sample(command)
            case Translate() as command:
                sys.exit(_translate(command))
    except ValidationError as error:
        for detail in error.errors():
            _, option, *_ = detail["loc"]  # the command, its option, and which of several types
            name = str(option).replace("_", "-")
            print(f"gan-client: --{name}: {detail['msg']} (got {detail['input']!r})", file=sys.stderr)
        sys.exit(2)
    except MISTAKES as error:
        print(f"gan-client: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("gan-client: stopped; the same command continues", file=sys.stderr)
        sys.exit(130)


def _models(command: Models) -> None:
    with Client(command.url, timeout=command.timeout) as client:
        for model in client.models():
            default = "default" if model.default else "-"
            print(model.id, model.task, model.direction or "-", model.provider, model.precision, default, sep="\t")


def _sample(command: Sample) -> None:
    suffix = command.out.suffix.lower()
    if suffix not in (".png", ".npy"):
        raise ClientError(f"{command.out}: expected a file name that ends with .png or .npy")
    with Client(command.url, timeout=command.timeout) as client:
        digits = client.sample(command.count, seed=command.seed, digit=command.digit, model=command.model)
    if suffix == ".npy":
        np.save(command.out, digits.array)
    else:
        digits.sheet.save(command.out)
    print(f"{command.out}: {len(digits.array)} digits of {digits.model}, seed {digits.seed}", file=sys.stderr)


def _translate(command: Translate) -> int:
    shard = Shard.parse(command.shard)
    *inputs, out = command.paths
    name = "failures.jsonl" if shard.count == 1 else f"failures-{shard.index}-of-{shard.count}.jsonl"
    failures = command.failures or out / name
    summary = asyncio.run(_translate_files(command, Plan(inputs, out, command.format, shard), out, failures))
    text = f"{summary.translated:,} translated, {summary.skipped:,} were there already, {summary.failed:,} failed"
    print(text + (f": see {failures}" if summary.failed else ""), file=sys.stderr)
    return 1 if summary.failed else 0


async def _translate_files(command: Translate, plan: Plan, out: Path, failures: Path) -> Summary:
    async with AsyncClient(command.url, timeout=min(START_S, command.timeout)) as client:
        model = choose_model(await client.models(), command.direction, command.model)
    options = Options(command.direction, model, command.size, command.detail, command.format)
    record(out, options)
    async with AsyncClient(command.url, timeout=command.timeout) as client:
        return await translate_all(client, plan, options, command.concurrency, failures)
