"""Controls that say why they cannot be used."""

from __future__ import annotations

import html
from typing import Any


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
