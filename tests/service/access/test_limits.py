import time

import pytest

from service.access import limits
from service.access.limits import RateLimiter, client_at
from service.errors import Problem


def test_images_are_counted_for_each_client() -> None:
    limiter = RateLimiter("10/minute")
    headers = limiter.charge("alice", 4)
    assert headers["RateLimit-Policy"] == '"images";q=10;w=60'
    assert headers["RateLimit"] in ('"images";r=6;t=60', '"images";r=6;t=59')
    limiter.charge("bob", 10)
    limiter.charge("alice", 6)
    with pytest.raises(Problem, match="the limit is 10 per 1 minute: try again in") as caught:
        limiter.charge("alice", 1)
    assert (caught.value.status, caught.value.kind) == (429, "rate-limited")
    assert 58 <= int(caught.value.headers["Retry-After"]) <= 60
    assert caught.value.headers["RateLimit"].startswith('"images";r=0;t=')


def test_a_refused_request_does_not_count() -> None:
    limiter = RateLimiter("10/minute")
    limiter.charge("alice", 7)
    with pytest.raises(Problem, match="try again"):
        limiter.charge("alice", 4)
    assert limiter.charge("alice", 3)["RateLimit"].startswith('"images";r=0;')


def test_a_request_for_more_than_the_limit_is_told_the_most() -> None:
    with pytest.raises(Problem, match="the limit is 10 per 1 hour: ask for at most 10") as caught:
        RateLimiter("10/hour").charge("alice", 11)
    assert (caught.value.status, caught.value.kind) == (429, "over-the-limit")
    assert "Retry-After" not in caught.value.headers


def test_a_new_period_begins() -> None:
    limiter = RateLimiter("2/second")
    limiter.charge("alice", 2)
    with pytest.raises(Problem, match="try again in 1 s"):
        limiter.charge("alice", 1)
    time.sleep(1.01)
    limiter.charge("alice", 2)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::1", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix", "others"),
        ("x" * 60_000, "others"),
    ],
)
def test_addresses_of_one_ipv6_network_are_one_client(address: str, client: str) -> None:
    assert client_at(address) == client


def test_a_client_without_images_left_is_refused_before_anything_is_done() -> None:
    limiter = RateLimiter("2/hour")
    limiter.check("alice")
    limiter.charge("alice", 2)
    with pytest.raises(Problem, match="try again in") as caught:
        limiter.check("alice")
    assert caught.value.status == 429
    limiter.check("bob")


def test_clients_beyond_a_bound_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CLIENTS", 3)
    monkeypatch.setattr(limits, "SWEEP_SECONDS", 0.0)
    limiter = RateLimiter("2/second")
    for client in ("a", "b", "c"):
        limiter.charge(client, 1)
    limiter.charge("d", 1)
    limiter.charge("e", 1)
    with pytest.raises(Problem, match="try again"):
        limiter.charge("f", 1)
    limiter.charge("a", 1)  # is still counted alone
    time.sleep(1.01)
    limiter.charge("f", 2)  # the others' periods have ended
    limiter.charge("g", 2)
