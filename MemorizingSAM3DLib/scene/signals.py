"""Signals of plain Python: how the logic, which knows no Qt, tells the user interface that something changed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


class Signal:
    """Functions that are called when the signal is emitted, in the order in which they were connected.

    Example:
        >>> failed = Signal()
        >>> failed.connect(print)
        >>> failed.emit("no scan")
        no scan
    """

    def __init__(self) -> None:
        self._functions: list[Callable[..., Any]] = []

    def connect(self, function: Callable[..., Any]) -> None:
        """Calls the function from now on; connecting it twice has no effect."""
        if function not in self._functions:
            self._functions.append(function)

    def disconnect(self, function: Callable[..., Any]) -> None:
        """Does not call the function any more."""
        if function in self._functions:
            self._functions.remove(function)

    def emit(self, *arguments: Any) -> None:
        """Calls every connected function; one that is disconnected meanwhile is not called.

        What one of them raises is reported as VTK does with observers, by `sys.excepthook`: a broken listener must
        neither stop the others nor what is being done here.
        """
        for function in tuple(self._functions):
            if function in self._functions:
                try:
                    function(*arguments)
                except Exception:
                    sys.excepthook(*sys.exc_info())
