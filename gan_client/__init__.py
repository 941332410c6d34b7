"""A client of the service: digits and translations as Pillow images or NumPy arrays.

`Client` blocks, `AsyncClient` is awaited; both have the same calls. The package imports neither the service nor
training: it needs the extra `client` alone.
"""

try:
    from gan_client.client import AsyncClient, Client
    from gan_client.errors import ClientError, ProblemError, UnreachableError
    from gan_client.results import Digits, Model, Translation
except ModuleNotFoundError as error:
    raise ImportError(f"{error.name} is not installed: the extra 'client' of gan-serving installs it") from error

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
