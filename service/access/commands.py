"""The `gan-serve keys` command."""

import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, CliApp, CliPositionalArg, CliSubCommand, SettingsConfigDict, get_subcommand

from service.access import keys
from service.access.keys import KeyFileError


class _Command(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    keys: Path | None = Field(default_factory=lambda: os.environ.get("GAN_KEYS"), validate_default=True)
    """File of names and hashed keys; by default that of GAN_KEYS."""

    @property
    def file(self) -> Path:
        """The file to read or change. Raises KeyFileError when none is named."""
        if self.keys is None:
            raise KeyFileError("there is no file of keys: name it with --keys FILE, or in GAN_KEYS")
        return self.keys


class Add(_Command):
    """Make a key, print it once, and add its hash to the file."""

    name: CliPositionalArg[str]
    """Client that gets the key. A client may have several, to change over from one to the next."""


class Remove(_Command):
    """Remove the keys of a client."""

    name: CliPositionalArg[str]
    """Client whose keys end."""
    id: str | None = None
    """Remove only the key with this id, as `list` shows it."""


class List(_Command):
    """Print the name and id of every key."""


class KeysCommand(BaseSettings):
    """Manage the API keys of the service. It follows changes of the file within a second."""

    model_config = SettingsConfigDict(cli_prog_name="gan-serve keys", cli_kebab_case=True)

    add: CliSubCommand[Add] = Field(description="Make a key and print it.")
    remove: CliSubCommand[Remove] = Field(description="Remove a client's keys.")
    list: CliSubCommand[List] = Field(description="List names and ids.")


def run(arguments: list[str]) -> None:
    """Carries out one command. Raises KeyFileError."""
    match get_subcommand(CliApp.run(KeysCommand, cli_args=arguments)):
        case Add() as command:
            key = keys.add(command.file, command.name)
            print(f"added a key of {command.name} to {command.file}; it is shown only here:", file=sys.stderr)
            print(key)
        case Remove() as command:
            number = keys.remove(command.file, command.name, command.id)
            print(f"removed {number} key{'s'[: number != 1]} of {command.name} from {command.file}", file=sys.stderr)
        case List() as command:
            for entry in keys.read(command.file):
                print(f"{entry.name}\t{entry.id}")
