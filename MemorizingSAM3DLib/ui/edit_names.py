"""The names of edits, as the scene gives them, in the user's language."""

from __future__ import annotations

from slicer.i18n import tr as _


def editName(name: str) -> str:
    """The translated name of an edit, which may be followed by a segment in brackets. What is not known stays."""
    kind, bracket, segment = name.partition(" (")
    translated = {
        "Add point": _("Add point"),
        "Add points": _("Add points"),
        "Move point": _("Move point"),
        "Turn point": _("Turn point"),
        "Delete point": _("Delete point"),
        "Delete points": _("Delete points"),
        "Clear points": _("Clear points"),
        "Change points": _("Change points"),
        "Change by hand": _("Change by hand"),
    }.get(kind, kind)
    return translated + bracket + segment
