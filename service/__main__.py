"""`gan-serve` and `python -m service`. Signals are handled before the imports, which take a second."""

import os
import signal


def main() -> None:
    """Runs the command."""
    for number in (signal.SIGINT, signal.SIGTERM):  # process 1 of a container gets only signals that it handles
        signal.signal(number, lambda number, _: os._exit(128 + number))
    from service import cli

    cli.main()


if __name__ == "__main__":
    main()
