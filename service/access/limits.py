"""Rate limits: how many images a client may ask for in a period."""

import ipaddress
import math
import time

from limits import parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from service.errors import Problem

NETWORK_BITS = 64
"""Addresses of one IPv6 network count as one client, because one machine may use all of them."""
MAX_CLIENTS = 20_000
"""Clients that are counted one by one."""
OTHERS = "others"
"""Client as which all further ones are counted, and those without an IP address."""
SWEEP_SECONDS = 1.0
"""Shortest time between two searches for clients whose period has ended."""


class RateLimiter:
    """Counts the images of each client. A client's period begins with its first request and then starts anew."""

    def __init__(self, limit: str) -> None:
        """`limit`: images per period, as in 600/minute."""
        self._limit, self._storage = parse(limit), _BoundedStorage()
        self._counts = FixedWindowRateLimiter(self._storage)
        self._policy = f'"images";q={self._limit.amount};w={self._limit.get_expiry()}'

    def check(self, client: str) -> None:
        """Raises Problem 429 when the client has no image left, before anything is done for its request."""
        if not self._counts.test(self._limit, self._counted_as(client)):
            raise self._exceeded(self._counted_as(client))

    def charge(self, client: str, images: int) -> dict[str, str]:
        """Counts a request for so many images, and returns the headers that say what is left.

        Raises Problem 429 when the limit would be exceeded; the request then does not count.
        """
        client, most = self._counted_as(client), self._limit.amount
        if images > most:
            detail = f"the request asks for {images:,} images and the limit is {self._limit}: ask for at most {most:,}"
            raise Problem(429, "over-the-limit", detail, headers={"RateLimit-Policy": self._policy})
        if not self._counts.test(self._limit, client, cost=images):
            raise self._exceeded(client)
        self._counts.hit(self._limit, client, cost=images)
        return self._headers(client)[0]

    def _counted_as(self, client: str) -> str:
        return client if self._storage.has_room(self._limit.key_for(client)) else OTHERS

    def _exceeded(self, client: str) -> Problem:
        headers, seconds = self._headers(client)
        detail = f"the limit is {self._limit}: try again in {seconds} s"
        return Problem(429, "rate-limited", detail, headers={**headers, "Retry-After": str(seconds)})

    def _headers(self, client: str) -> tuple[dict[str, str], int]:
        """Returns the headers (draft-ietf-httpapi-ratelimit-headers-10), and the seconds until the period ends."""
        reset, remaining = self._counts.get_window_stats(self._limit, client)
        seconds = max(1, math.ceil(reset - time.time()))
        return {"RateLimit-Policy": self._policy, "RateLimit": f'"images";r={remaining};t={seconds}'}, seconds


class _BoundedStorage(Storage):
    """Counts of at most `MAX_CLIENTS` clients. The library's own storage has no bound, and sweeps them in a thread."""

    STORAGE_SCHEME = ["bounded"]

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, tuple[int, float]] = {}
        """Number and end of the period of each key."""
        self._next_sweep = 0.0

    def has_room(self, key: str) -> bool:
        """Returns whether a key is counted or can be, after forgetting keys whose period has ended."""
        if key in self._counts or len(self._counts) < MAX_CLIENTS:
            return True
        now = time.time()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            self._counts = {key: count for key, count in self._counts.items() if count[1] > now}
        return len(self._counts) < MAX_CLIENTS

    @property
    def base_exceptions(self) -> type[Exception]:
        """Nothing here raises."""
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Adds to a count and returns it; the first after the end of a period begins the next."""
        now = time.time()
        number, end = self._counts.get(key, (0, 0.0))
        if end <= now:
            number, end = 0, now + expiry
        self._counts[key] = number + amount, end
        return number + amount

    def get(self, key: str) -> int:
        """Returns a count."""
        number, end = self._counts.get(key, (0, 0.0))
        return number if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """Returns the end of a period, in seconds since 1970; for a key that is not counted, now."""
        return max(time.time(), self._counts.get(key, (0, 0.0))[1])

    def check(self) -> bool:
        """Returns whether the storage works, which it always does."""
        return True

    def reset(self) -> int:
        """Forgets all counts and returns their number."""
        number = len(self._counts)
        self._counts.clear()
        return number

    def clear(self, key: str) -> None:
        """Forgets a count."""
        self._counts.pop(key, None)


def client_at(address: str) -> str:
    """Returns which client an address counts as."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket, or what a proxy made up
        return OTHERS
    if isinstance(ip, ipaddress.IPv4Address):
        return address
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, NETWORK_BITS), strict=False))
