"""Keys that work while the module is open, and only then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import qt
from slicer.i18n import tr as _

from MemorizingSAM3DLib.ui.controls import Connections

# Alt with a letter: plain letters, digits, Esc, Space and Ctrl combinations belong to Slicer's views and to the Segment
# Editor, and would be typed into a name that is being edited. F, E, V and H open Slicer's menus; A, B, D and M do so in
# its translations.
KEYS: Mapping[str, str] = {
    "inside": "Alt+I",
    "outside": "Alt+O",
    "undo": "Alt+Z",
    "redo": "Alt+Y",
    "deleteLast": "Alt+L",
    "nextSegment": "Alt+N",
    "cancel": "Alt+X",
    "help": "Alt+K",
}


def keyText(name: str) -> str:
    """The key as it is written on this system."""
    return str(qt.QKeySequence(KEYS[name]).toString(qt.QKeySequence.NativeText))


def withKey(does: str, name: str) -> str:
    """The text of a tooltip with the key in brackets behind it."""
    return f"{does} ({keyText(name)})"


class Shortcuts:
    """One key for each button: pressing it is clicking the button, so that a disabled button's key does nothing.

    Args:
        parent: the panel. The keys work anywhere in its window while it is visible.
        buttons: the button of each name in KEYS.
    """

    def __init__(self, parent: Any, buttons: Mapping[str, Any]) -> None:
        self._parent = parent
        self._buttons = buttons
        self._shortcuts: list[Any] = []
        self._connections = Connections()

    def create(self) -> None:
        """From now on the keys work."""
        if self._shortcuts:
            return
        for name, button in self._buttons.items():
            shortcut = qt.QShortcut(self._parent)
            shortcut.setKey(qt.QKeySequence(KEYS[name]))
            shortcut.autoRepeat = False
            self._connections.toWidget(shortcut, "activated()", lambda button=button: button.click())
            self._shortcuts.append(shortcut)

    def remove(self) -> None:
        """The keys are everybody else's again."""
        self._connections.close()
        for shortcut in self._shortcuts:
            shortcut.enabled = False  # at once; deleted only when the event loop gets to it
            shortcut.deleteLater()
        self._shortcuts.clear()

    @staticmethod
    def helpText() -> str:
        """All keys with what they do, a line each."""
        does = {
            "inside": _("place points inside the object, or stop placing"),
            "outside": _("place points outside the object, or stop placing"),
            "undo": _("undo the last edit of the points"),
            "redo": _("redo it"),
            "deleteLast": _("delete the last point"),
            "nextSegment": _("begin the next segment"),
            "cancel": _("cancel what is being computed"),
            "help": _("show this list"),
        }
        lines = [f"{keyText(name)}: {does[name]}" for name in KEYS]
        return "\n".join([_("These keys work while the module is open:"), "", *lines])
