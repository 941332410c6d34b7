"""The `gan-train` command."""

import sys
from collections.abc import Callable

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, CliSubCommand, SettingsConfigDict, SettingsError, get_subcommand

from training.checkpoint import CheckpointError, ResumeError
from training.config.cyclegan import CycleGanConfig
from training.config.distil import DistilConfig
from training.config.gan import GanConfig
from training.data.download import DownloadConfig, download
from training.data.errors import DataError
from training.distributed import BatchError
from training.evaluation.evaluate import EvaluateConfig, evaluate
from training.loop import DivergedError, StoppedError
from training.run import DeviceError, run_cyclegan, run_distil, run_gan

STOPPED = 75
"""Exit status of a fit that was stopped and saved: sysexits' EX_TEMPFAIL, on which a Kubernetes Job tries again."""

MISTAKES = (SettingsError, BatchError, DataError, CheckpointError, DeviceError, DivergedError, ResumeError, OSError)


class Train(BaseSettings):
    """Fit GANs: download the data, then fit the digits' GAN or a CycleGAN.

    A first run: gan-train download, then gan-train gan. Each command explains its options with --help.
    Ctrl-C or SIGTERM stops a fit: it saves and ends with status 75, and the same command resumes it.
    Under torchrun, the processes of gan, cyclegan and distil share every batch.
    """

    model_config = SettingsConfigDict(cli_prog_name="gan-train", cli_kebab_case=True, cli_implicit_flags=True)

    download: CliSubCommand[DownloadConfig] = Field(
        description="Download and verify MNIST and horse2zebra; interrupted downloads resume."
    )
    gan: CliSubCommand[GanConfig] = Field(description="Fit the vanilla GAN on MNIST.")
    cyclegan: CliSubCommand[CycleGanConfig] = Field(description="Fit CycleGAN on two folders of unpaired images.")
    distil: CliSubCommand[DistilConfig] = Field(description="Fit small generators to a fitted CycleGAN's translations.")
    evaluate: CliSubCommand[EvaluateConfig] = Field(
        description="Score a published .onnx file or a checkpoint on the test set."
    )


def main() -> None:
    """Entry point of `gan-train` and `python -m training`."""
    sys.exit(report_mistakes("gan-train", _run))


def _run() -> None:
    command = get_subcommand(CliApp.run(Train), cli_exit_on_error=False)
    match command:
        case DownloadConfig():
            download(command)
        case GanConfig():
            run_gan(command)
        case CycleGanConfig():
            run_cyclegan(command)
        case DistilConfig():
            run_distil(command)
        case EvaluateConfig():
            evaluate(command)


def report_mistakes(program: str, action: Callable[[], None]) -> int:
    """Runs a command and returns its exit status. A mistake of the user is a message on stderr and status 2."""
    try:
        action()
    except ValidationError as error:
        for detail in error.errors():
            place = detail["loc"][1:]  # after the command
            names = [part for part in place if isinstance(part, str)]  # the others are indices in a list
            if names:
                option, got = f"--{names[-1].replace('_', '-')}: ", f" (got {detail['input']!r})"
            else:  # an error of several options, which its text names
                option = got = ""
            reason = detail["msg"].removeprefix("Value error, ")
            print(f"{program}: {option}{reason}{got}", file=sys.stderr)
        return 2
    except MISTAKES as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except StoppedError:  # the loop has printed it
        return STOPPED
    except KeyboardInterrupt:
        return 130
    return 0
