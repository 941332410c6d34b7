"""The W3C's trace context: whose work a request is part of."""

import re

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def trace_id_of(traceparents: list[bytes]) -> str | None:
    """The trace that a request's `traceparent` headers name; None when they are not one valid header.

    Read by https://www.w3.org/TR/trace-context/: version 00 has exactly four parts, later ones may have more.
    """
    if len(traceparents) != 1:
        return None
    match = _TRACEPARENT.fullmatch(traceparents[0])
    if match is None:
        return None
    version, trace_id, parent_id, more = match.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if not trace_id.strip(b"0") or not parent_id.strip(b"0"):
        return None
    return trace_id.decode()
