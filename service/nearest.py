"""The known name nearest to a mistyped one."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns the member of `known`, which must have one, that is most like `name`."""
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
