"""`python -m training` is `gan-train`."""

from training.console import start


def main() -> None:
    """Entry point of the command."""
    start("gan-train", "training.cli")


if __name__ == "__main__":
    main()
