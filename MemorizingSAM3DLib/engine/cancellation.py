"""How the user stops what is being computed: a token that long work asks, and the exception that ends it."""

from __future__ import annotations

import threading


class CancelledError(Exception):
    """The work was given up because the user asked for it. Nothing was changed."""


class CancelToken:
    """Set by one thread, asked by another."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """The work that asks this token ends at its next check."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether the work should end."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises CancelledError once the token is cancelled."""
        if self.cancelled:
            raise CancelledError
