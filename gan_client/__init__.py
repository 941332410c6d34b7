"""A client of the service: digits and translations as Pillow images or NumPy arrays.

`Client` blocks, `AsyncClient` is awaited; both have the same calls. The package imports neither the service nor
training: it needs the extra `client` alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_client.client import AsyncClient, Client
    from gan_client.errors import ClientError, ProblemError, UnreachableError
    from gan_client.results import Digits, Model, Translation

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Digits",
    "Model",
    "ProblemError",
    "Translation",
    "UnreachableError",
]
_MODULES = ("client", "errors", "results")


def __getattr__(name: str) -> object:
    """Imports a name at its first use, so that the command can report a missing extra in one line."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        modules = [import_module(f"{__name__}.{module}") for module in _MODULES]
    except ModuleNotFoundError as error:
        raise ImportError(f"{error.name} is not installed: the extra 'client' of gan-serving installs it") from error
    return next(getattr(module, name) for module in modules if hasattr(module, name))
