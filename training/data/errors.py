"""The one error of this package."""


class DataError(Exception):
    """Data that is missing or broken; the message says what, and the command that mends it."""
