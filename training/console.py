"""Starts the console commands that need PyTorch."""

import sys
from importlib import import_module


def start(program: str, module: str) -> None:
    """Runs `module`.main. If a package is missing, as where only the service is installed, says so and exits with 2."""
    try:
        main = import_module(module).main
    except ModuleNotFoundError as error:
        cure = "'make fit', or the extra 'train' of gan-serving, installs what fitting and exporting need"
        print(f"{program}: {error.name} is not installed: {cure}", file=sys.stderr)
        sys.exit(2)
    main()
