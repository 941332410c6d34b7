"""The requests in flight, by when they began: a model is released when none is left that began before its successor."""

import asyncio


class Generation:
    """Requests that began between two calls of `InFlight.drain`."""

    def __init__(self) -> None:
        self.requests = 0
        self.ended = asyncio.Event()


class InFlight:
    """Counts requests. Call every method on the event loop."""

    def __init__(self) -> None:
        self._generations = [Generation()]

    def begin(self) -> Generation:
        """Counts a request, which `end` gets what this returns."""
        current = self._generations[-1]
        current.requests += 1
        return current

    def end(self, generation: Generation) -> None:
        """Counts a request as ended."""
        generation.requests -= 1
        if not generation.requests and generation is not self._generations[-1]:
            generation.ended.set()
            self._generations.remove(generation)

    async def drain(self) -> None:
        """Returns when every request that has begun by now has ended. Later ones are not waited for."""
        earlier = [generation for generation in self._generations if generation.requests]
        self._generations = [*earlier, Generation()]
        for generation in earlier:
            await generation.ended.wait()
