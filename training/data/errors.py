"""The one error of this package."""


class DataError(Exception):
    """Data that is missing or broken; the message names it and the command that repairs it."""
