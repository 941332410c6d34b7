"""The choice of a response's format."""

from collections.abc import Mapping
from typing import TypeVar

from starlette.types import Scope

from service.api.params import header
from service.errors import Problem

K = TypeVar("K", bound=str)

VARY = {"Vary": "Accept"}
"""Header of responses whose format the Accept header chooses: caches keep one for each."""
OCTETS = "application/octet-stream"
"""Type under which a client that accepts no other gets the default format."""
_ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}


def choose_format(
    asked: K | None,
    accept: str | None,
    offers: Mapping[K, str],
    default: K,
    advice: str = "accept one of them, or use format=",
) -> K:
    """Returns the format asked for by parameter, else the best one by the Accept header, else `default`.

    `offers` maps formats to media types. A header that allows none of them is that of a client which expects something
    else, an error or a page, and gets `default`. Raises Problem 406, with `advice` on what to do, when such a header
    names image types, or excludes `default`.
    """
    if asked is not None:
        return asked
    if not accept or accept == "*/*":  # as most programs send it
        return default
    ranked, parts = [], _parse(accept)
    for name, media_type in offers.items():
        covering = [
            (media_range.count("*"), place, quality)
            for place, (media_range, quality) in enumerate(parts)
            if _matches(media_range, media_type)
        ]
        if covering:
            _, place, quality = min(covering)  # the most specific range decides, so that q=0 can exclude one of */*
            if quality > 0:
                ranked.append((-quality, place, name != default, name))
    if ranked:
        return min(ranked)[-1]
    excluded = any(_matches(media_range, offers[default]) for media_range, _ in parts)
    if not excluded and not any(media_range.startswith("image/") for media_range, _ in parts):
        return default
    raise Problem(
        406,
        "not-acceptable",
        f"Accept: {accept[:200]} allows none of {', '.join(offers.values())}: {advice}",
        headers=VARY,
    )


def media_type_of(asked: K | None, accept: str | None, chosen: str) -> str:
    """Returns the media type of a response in the format `chosen`: OCTETS if the client accepts that type alone."""
    return OCTETS if accept == OCTETS and asked is None else chosen


def _parse(accept: str) -> list[tuple[str, float]]:
    """Parses 'image/webp;q=0.8, */*' to [('image/webp', 0.8), ('*/*', 1.0)]. An invalid quality counts as 0."""
    parts = []
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        parts.append((_ALIASES.get(media_range, media_range), quality))
    return parts


def _matches(media_range: str, media_type: str) -> bool:
    if media_range in ("*/*", media_type):
        return True
    return media_range.endswith("/*") and media_type.startswith(media_range[:-1])


def accepts_gzip(scope: Scope) -> bool:
    """Returns whether the request's Accept-Encoding names gzip with a quality above 0."""
    for part in (header(scope, b"accept-encoding") or "").lower().split(","):
        coding, _, quality = part.partition(";")
        if coding.strip() == "gzip":
            try:
                return float(quality.strip().removeprefix("q=") or 1) > 0
            except ValueError:
                return False
    return False
