"""An installation that goes on after a restart: a small record of what the user has agreed to."""

from __future__ import annotations

import json
import time
from typing import Protocol

from .choice import Choice

_LASTS = 7 * 24 * 3600.0  # seconds; later nobody remembers having agreed


class Store(Protocol):
    """Keeps a text over a restart, as Slicer's settings do."""

    def read(self) -> str:
        """The text; "" if there is none."""
        ...

    def write(self, text: str) -> None:
        """Keeps the text; "" removes it."""
        ...


def keep(store: Store, choice: Choice) -> None:
    """Remembers that the user has agreed to this, and that it is not finished."""
    store.write(json.dumps({"choice": choice.to_json(), "time": time.time()}))


def take(store: Store) -> Choice | None:
    """What is to be gone on with, or None. It is forgotten at once: what makes Slicer crash must not start again."""
    text = store.read()
    if not text:
        return None
    store.write("")
    try:
        record = json.loads(text)
        choice = Choice.from_json(record["choice"])
        age = time.time() - float(record["time"])
    except (ValueError, KeyError, TypeError):  # written by another version
        return None
    return choice if 0 <= age < _LASTS else None
