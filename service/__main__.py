"""`gan-serve` and `python -m service`: the command, with signals heard before the second that it takes to load."""

import os
import signal


def main() -> None:
    """Entry point."""
    for number in (signal.SIGINT, signal.SIGTERM):  # process 1, as in a container, gets only those that it catches
        signal.signal(number, lambda number, _: os._exit(128 + number))
    from service import cli

    cli.main()


if __name__ == "__main__":
    main()
