"""Whether the process still wants requests."""

from dataclasses import dataclass


@dataclass
class Lifecycle:
    """Shared by the application, its management port and the process around both."""

    draining: bool = False
    """SIGTERM has come: what was accepted is finished, nothing more is."""
    hung: bool = False
    """A run has not ended though nobody waits for it: its thread will not end either."""
