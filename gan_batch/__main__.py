"""`gan-batch` and `python -m gan_batch`."""

import sys


def main() -> None:
    """Runs the command. If a package is missing, as where only the service is installed, says so and exits with 2."""
    try:
        from gan_batch import cli  # its imports take a second or more, in which Ctrl-C may come
    except ModuleNotFoundError as error:
        print(f"gan-batch: {error.name} is not installed: the extra 'ray' of gan-serving installs it", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
