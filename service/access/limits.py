"""Rate limits: how many images a client may ask for in a period."""

import ipaddress
import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from service.errors import Problem

NETWORK_BITS = 64
"""Addresses of one IPv6 network count as one client: each machine has a whole network to choose from."""


class RateLimiter:
    """Counts the images of each client. A client's period begins with its first request and then starts anew."""

    def __init__(self, limit: str) -> None:
        """`limit`: images per period, as in 600/minute."""
        self._limit, self._counts = parse(limit), FixedWindowRateLimiter(MemoryStorage())
        self._policy = f'"images";q={self._limit.amount};w={self._limit.get_expiry()}'

    def charge(self, client: str, images: int, before: int = 0) -> dict[str, str]:
        """Counts a request for so many images, and returns the headers that say what is left.

        `before`: images of the same request that have been counted before, when it was not known how many it has.
        Raises Problem 429 when the limit would be exceeded; `images` then do not count.
        """
        most, asked = self._limit.amount, images + before
        if asked > most:
            detail = f"the request asks for {asked:,} images and the limit is {self._limit}: ask for at most {most:,}"
            raise Problem(429, "over-the-limit", detail, headers={"RateLimit-Policy": self._policy})
        if not self._counts.test(self._limit, client, cost=images):
            headers, seconds = self._headers(client)
            detail = f"the limit is {self._limit}: try again in {seconds} s"
            raise Problem(429, "rate-limited", detail, headers={**headers, "Retry-After": str(seconds)})
        self._counts.hit(self._limit, client, cost=images)
        return self._headers(client)[0]

    def _headers(self, client: str) -> tuple[dict[str, str], int]:
        """Returns the headers (draft-ietf-httpapi-ratelimit-headers-10), and the seconds until the period ends."""
        reset, remaining = self._counts.get_window_stats(self._limit, client)
        seconds = max(1, math.ceil(reset - time.time()))
        return {"RateLimit-Policy": self._policy, "RateLimit": f'"images";r={remaining};t={seconds}'}, seconds


def client_at(address: str) -> str:
    """Returns which client an address counts as."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket, or a proxy's invention
        return address
    return str(ipaddress.ip_network((ip, NETWORK_BITS), strict=False)) if ip.version == 6 else address
