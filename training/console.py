"""How the console commands that need PyTorch begin."""

import sys
from importlib import import_module


def start(program: str, module: str) -> None:
    """Runs `module`.main; says what is missing where only the service is installed, and exits with 2."""
    try:
        main = import_module(module).main
    except ModuleNotFoundError as error:
        cure = "'make fit' installs what fitting and exporting need"
        print(f"{program}: {error.name} is not installed: {cure}", file=sys.stderr)
        sys.exit(2)
    main()
