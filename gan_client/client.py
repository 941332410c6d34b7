"""The blocking client and the one that is awaited."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, Literal, Self, TypeVar, Unpack

import httpx
from tenacity import AsyncRetrying, Retrying

from gan_client import calls, pool, retry
from gan_client.calls import Call, Format, Size, TranslateOptions, Upload
from gan_client.errors import ClientError
from gan_client.results import Digits, Model, Translation
from gan_client.retry import Deadline
from gan_client.settings import ClientSettings

TIMEOUT_S = 60.0
IN_FLIGHT = 16

Result = TypeVar("Result")


def _options(url: str | None, key: str | None) -> dict[str, Any]:
    """The arguments of httpx's clients. The pool of requests bounds connections, httpx need not."""
    settings = ClientSettings()
    given = url or settings.url
    try:
        address = httpx.URL(given)
        right = address.scheme in ("http", "https") and address.host and address.port in (None, *range(1, 2**16))
    except httpx.InvalidURL:
        right = False
    if not right:
        raise ClientError(f"{given} is not the address of a service: expected is one like http://127.0.0.1:8000")
    key = key or (settings.key.get_secret_value() if settings.key else None)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return {"base_url": address, "headers": headers, "limits": httpx.Limits(max_connections=None)}


def _request(http: httpx.Client | httpx.AsyncClient, call: Call[Any], deadline: Deadline) -> httpx.Request:
    """One try, which tells the service how long its response is of use."""
    headers = {"X-Request-Timeout": f"{deadline.left:.3f}"}
    if call.body is not None:
        headers["Content-Type"] = "application/octet-stream"
    return http.build_request(
        call.method, call.path, params=call.params, content=call.body, headers=headers, timeout=deadline.left
    )


def _result(call: Call[Result], response: httpx.Response) -> Result:
    """What a response holds. Raises ProblemError for a refusal, and ClientError for what no GAN service sends."""
    retry.check(response)
    try:
        return call.read(response)
    except (ValueError, KeyError, TypeError, EOFError) as error:
        raise _other(response.url) from error


def _other(url: httpx.URL) -> ClientError:
    return ClientError(f"{url} responded, but not as a GAN service does: is the address right?")


class Client:
    """Calls the service and blocks until the result is there. Threads may share it.

    Every call raises ProblemError when the service refuses it, UnreachableError when nothing responds, and ClientError
    when something else than a GAN service does. What may pass is tried again until `timeout` is over: lost connections
    and the statuses 429, 502 and 503.
    """

    def __init__(self, url: str | None = None, *, key: str | None = None, timeout: float = TIMEOUT_S) -> None:
        """Makes a client; nothing is sent yet.

        `url`: address of the service, by default that of GAN_CLIENT_URL, else http://127.0.0.1:8000. `key`: API key, by
        default that of GAN_CLIENT_KEY. `timeout`: seconds for a call with all its tries. Raises ClientError for an
        address that is none.
        """
        self._http, self._timeout = httpx.Client(**_options(url, key)), timeout

    def models(self) -> list[Model]:
        """Returns the loaded models."""
        return self._call(calls.models())

    def sample(
        self, count: int = 1, *, seed: int | None = None, digit: int | None = None, model: str | None = None
    ) -> Digits:
        """Returns `count` digits (1 to 1024), repeatable with a `seed` (below 2^64); `digit` asks for one of 0 to 9."""
        return self._call(calls.sample(count, seed, digit, model))

    def interpolate(
        self, first: int, last: int, steps: int, *, digit: int | None = None, model: str | None = None
    ) -> Digits:
        """Returns `steps` digits on the way from the seed `first` to the seed `last`, both included."""
        return self._call(calls.interpolate(first, last, steps, digit, model))

    def translate(
        self,
        image: Upload,
        direction: str,
        *,
        size: Size | None = None,
        detail: Literal["on", "off"] | None = None,
        format: Format | None = None,
        model: str | None = None,
    ) -> Translation:
        """Returns the translation of an image, at its own size.

        `size`: longest side inside the model, 64 to 1024 or 'native'. `detail`: 'off' for the model's image alone.
        `format`: by default that of the upload. Raises OSError for a path that cannot be read.
        """
        return self._call(calls.translate(image, direction, size, detail, format, model))

    def translate_many(
        self,
        images: Iterable[Upload],
        direction: str,
        *,
        in_flight: int = IN_FLIGHT,
        **options: Unpack[TranslateOptions],
    ) -> Iterator[tuple[Upload, Translation | Exception]]:
        """Yields each image with its translation or its error, as they come, not in order.

        `images` is read as results are taken: at most `in_flight` images are in memory. `options` are those of
        `translate`.
        """
        return pool.run(images, partial(self.translate, direction=direction, **options), in_flight)

    def _call(self, call: Call[Result]) -> Result:
        deadline = Deadline.after(self._timeout)
        return Retrying(**retry.policy(deadline))(self._try, call, deadline)

    def _try(self, call: Call[Result], deadline: Deadline) -> Result:
        request = _request(self._http, call, deadline)
        try:
            response = self._http.send(request, stream=True)
            with closing(response):
                chunks = []
                for chunk in response.iter_raw():
                    if deadline.over:
                        raise httpx.ReadTimeout("the response has not ended", request=request)
                    chunks.append(chunk)
            content = b"".join(chunks)
            whole = httpx.Response(response.status_code, headers=response.headers, content=content, request=request)
        except httpx.TransportError as error:
            raise retry.unreachable(error, self._http.base_url, deadline) from error
        except httpx.DecodingError as error:
            raise _other(request.url) from error
        return _result(call, whole)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient:
    """The same calls as those of `Client`, to be awaited. One event loop uses it."""

    def __init__(
        self, url: str | None = None, *, key: str | None = None, timeout: float = TIMEOUT_S, waits: bool = True
    ) -> None:
        """Makes a client, as `Client` does.

        `waits`: False raises ProblemError at once where the service says how long to wait, for callers that then hold
        back all their calls.
        """
        self._http, self._timeout, self._waits = httpx.AsyncClient(**_options(url, key)), timeout, waits

    async def models(self) -> list[Model]:
        """Returns the loaded models."""
        return await self._call(calls.models())

    async def sample(
        self, count: int = 1, *, seed: int | None = None, digit: int | None = None, model: str | None = None
    ) -> Digits:
        """Returns digits, as `Client.sample` does."""
        return await self._call(calls.sample(count, seed, digit, model))

    async def interpolate(
        self, first: int, last: int, steps: int, *, digit: int | None = None, model: str | None = None
    ) -> Digits:
        """Returns digits between two seeds, as `Client.interpolate` does."""
        return await self._call(calls.interpolate(first, last, steps, digit, model))

    async def translate(
        self,
        image: Upload,
        direction: str,
        *,
        size: Size | None = None,
        detail: Literal["on", "off"] | None = None,
        format: Format | None = None,
        model: str | None = None,
    ) -> Translation:
        """Returns the translation of an image, as `Client.translate` does."""
        return await self._call(calls.translate(image, direction, size, detail, format, model))

    def translate_many(
        self,
        images: Iterable[Upload],
        direction: str,
        *,
        in_flight: int = IN_FLIGHT,
        **options: Unpack[TranslateOptions],
    ) -> AsyncIterator[tuple[Upload, Translation | Exception]]:
        """Yields each image with its translation or its error, as `Client.translate_many` does."""
        return pool.run_async(images, partial(self.translate, direction=direction, **options), in_flight)

    async def _call(self, call: Call[Result]) -> Result:
        deadline = Deadline.after(self._timeout)
        return await AsyncRetrying(**retry.policy(deadline, self._waits))(self._try, call, deadline)

    async def _try(self, call: Call[Result], deadline: Deadline) -> Result:
        request = _request(self._http, call, deadline)
        try:
            async with asyncio.timeout(deadline.left):
                response = await self._http.send(request)
        except (httpx.TransportError, TimeoutError) as error:
            raise retry.unreachable(error, self._http.base_url, deadline) from error
        except httpx.DecodingError as error:
            raise _other(request.url) from error
        return _result(call, response)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
