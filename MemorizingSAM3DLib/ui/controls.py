"""Controls that say why they cannot be used.

Connections that are taken back together.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.signals import Signal


def setAvailable(control: Any, does: str, reason: str | None = None) -> None:
    """Enables a control, or disables it and says in its tooltip why, and how to change that.

    Args:
        does: what the control does; always part of the tooltip.
        reason: why it cannot be used now; None enables it.
    """
    control.enabled = reason is None
    control.toolTip = asToolTip(does) if reason is None else asToolTip(does, reason)


def asToolTip(does: str, reason: str = "") -> str:
    """A tooltip as rich text, because Qt shows plain text of any length on a single line."""
    text = f"<p>{html.escape(does, quote=False)}</p>"
    return f"{text}<p><b>{html.escape(reason, quote=False)}</b></p>" if reason else text


class Connections:
    """What one part of the panel listens to. `close` ends it all, so that nothing outlives a reload of the module."""

    def __init__(self) -> None:
        self._disconnect: list[Callable[[], object]] = []

    def toSignal(self, signal: Signal, function: Callable[..., object]) -> None:
        """Connects to a signal of the logic."""
        signal.connect(function)
        self._disconnect.append(lambda: signal.disconnect(function))

    def toWidget(self, sender: Any, signature: str, function: Callable[..., object]) -> None:
        """Connects to a signal of a Qt object.

        Args:
            signature: as in C++, for example `clicked(bool)`.

        Raises:
            RuntimeError: the object has no such signal. PythonQt itself only returns False.
        """
        if sender.connect(signature, function) is False:
            raise RuntimeError(f"{sender.className()} has no signal {signature}.")
        self._disconnect.append(lambda: sender.disconnect(signature, function))

    def close(self) -> None:
        """Takes every connection back."""
        while self._disconnect:
            self._disconnect.pop()()
