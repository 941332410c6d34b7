"""`python -m export` is `gan-export`."""

import sys


def main() -> None:
    """Entry point; says what is missing where only the service is installed."""
    try:
        from export.cli import main as run
    except ModuleNotFoundError as error:
        print(
            f"gan-export: {error.name} is not installed: 'make fit' installs what fitting and exporting need",
            file=sys.stderr,
        )
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
