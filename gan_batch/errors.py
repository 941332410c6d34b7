"""Why a run cannot begin or go on."""


class BatchError(Exception):
    """The run cannot begin or go on; the message says why and what to do."""
