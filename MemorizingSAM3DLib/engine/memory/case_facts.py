"""The few facts that a remembered case carries. None of them can name a patient."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .errors import CaseMemoryError

MODALITIES = ("", "CT", "MR", "PET", "US")
SOURCES = ("training", "user")
MOST_STRUCTURE = 64  # characters
_REMEDY = "Give structure, modality, created (a day) and source; nothing else is kept with a case."


def _today() -> str:
    return datetime.date.today().isoformat()


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What is known of a remembered case.

    Args:
        structure: what was segmented, in the annotator's words: at most 64 printable characters, or empty.
        modality: one of :data:`MODALITIES`; empty: not known.
        created: the day it was remembered, YYYY-MM-DD.
        source: one of :data:`SOURCES`.

    Raises:
        CaseMemoryError: a fact is of another form.
    """

    structure: str = ""
    modality: str = ""
    created: str = field(default_factory=_today)
    source: str = "user"

    def __post_init__(self) -> None:
        if not isinstance(self.structure, str) or not self.structure.isprintable():
            raise _refused("a structure's name with characters that cannot be printed")
        if len(self.structure) > MOST_STRUCTURE:
            raise _refused(f"a structure's name of more than {MOST_STRUCTURE} characters")
        if self.modality not in MODALITIES:
            raise _refused(f"the modality {str(self.modality)[:20]!r}")
        if self.source not in SOURCES:
            raise _refused(f"the source {str(self.source)[:20]!r}")
        try:
            day = datetime.date.fromisoformat(self.created).isoformat()
        except (TypeError, ValueError):
            day = None
        if day != self.created:
            raise _refused(f"the day {str(self.created)[:20]!r}")

    @classmethod
    def from_json(cls, value: object) -> CaseFacts:
        """The facts that :meth:`as_json` gave, checked: exactly these four."""
        names = {fact.name for fact in fields(cls)}
        if not isinstance(value, dict) or set(value) != names:
            raise _refused("other facts than those of a case")
        return cls(**value)

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready table."""
        return asdict(self)


def _refused(what: str) -> CaseMemoryError:
    return CaseMemoryError(f"A case memory cannot keep {what}.", _REMEDY)
