"""The `gan-export` command."""

import logging
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliPositionalArg,
    CliSubCommand,
    SettingsConfigDict,
    SettingsError,
    get_subcommand,
)

from export.parity import ParityError
from export.publish import PublishError, attach_scores, publish
from service.card import NAME_PATTERN, CardError
from training.checkpoint import CheckpointError

MISTAKES = (CheckpointError, ParityError, PublishError, CardError, SettingsError, OSError)


class PublishConfig(BaseModel):
    """Export a checkpoint's averaged generators to ONNX, compare them with PyTorch, and publish them.

    Translations also get a file in half precision for CUDA, unless it differs too much, which a warning then says.
    """

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    checkpoint: CliPositionalArg[Path]
    """Checkpoint file, or the folder of a run (its newest checkpoint)."""
    models: Path = Path("models")
    """Folder of published models; the files become <models>/<name>/<version>/."""
    version: str | None = Field(None, pattern=NAME_PATTERN)
    """Version to publish; by default one more than the highest number of either direction there."""
    suffix: str = Field("", pattern=r"^(-[a-z0-9]+)*$")
    """Suffix of a variant's name, such as --suffix=-reference."""


class ScoresConfig(BaseModel):
    """Write measured scores into a published model's card and file."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")

    folder: CliPositionalArg[Path]
    """The model's folder, such as models/mnist/1."""
    scores: CliPositionalArg[Path]
    """JSON file of 'gan-train evaluate'."""


class Export(BaseSettings):
    """Export checkpoints to ONNX files that need no further code."""

    model_config = SettingsConfigDict(cli_prog_name="gan-export", cli_kebab_case=True)

    publish: CliSubCommand[PublishConfig] = Field(description="Export, check and publish a checkpoint.")
    scores: CliSubCommand[ScoresConfig] = Field(description="Attach measured scores to a published model.")


def main() -> None:
    """Entry point of `gan-export` and `python -m export`; exit status 2 for a mistake of the user."""
    logging.basicConfig(format="gan-export: %(message)s")
    try:
        _run()
    except ValidationError as error:
        for detail in error.errors():
            option = ".".join(str(part) for part in detail["loc"])
            print(f"gan-export: {option}: {detail['msg']} (got {detail['input']!r})", file=sys.stderr)
        sys.exit(2)
    except MISTAKES as error:
        print(f"gan-export: {error}", file=sys.stderr)
        sys.exit(2)


def _run() -> None:
    command = get_subcommand(CliApp.run(Export), cli_exit_on_error=False)
    if isinstance(command, PublishConfig):
        for folder in publish(command.checkpoint, command.models, command.version, command.suffix):
            print(f"published {folder}")
    elif isinstance(command, ScoresConfig):
        card = attach_scores(command.folder, command.scores)
        print(f"{command.folder}: {len(card.scores)} scores, sha256 {card.sha256}")
