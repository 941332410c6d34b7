"""`python -m export` is `gan-export`."""

from training.console import start


def main() -> None:
    """Entry point of the command."""
    start("gan-export", "export.cli")


if __name__ == "__main__":
    main()
