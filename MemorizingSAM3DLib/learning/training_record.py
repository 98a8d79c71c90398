"""What a model was trained on, as its own record tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_ANCESTORS = ("from", "teacher")


def trained_datasets(record: Mapping[str, Any]) -> set[str] | None:
    """The datasets that a model learned from, those of the models that it was trained from or by included.

    Args:
        record: ``training`` of a checkpoint.

    Returns:
        None when the record names none: then nothing is known.
    """
    named = record.get("datasets")
    found = set(named) if isinstance(named, list | tuple) else None
    for key in _ANCESTORS:
        ancestor = record.get(key)
        earlier = ancestor.get("training") if isinstance(ancestor, Mapping) else None
        known = trained_datasets(earlier) if isinstance(earlier, Mapping) else None
        found = found if known is None else (found or set()) | known
    return found


def never_trained_on(record: Mapping[str, Any], datasets: Sequence[str]) -> list[str] | None:
    """Those of some datasets that a model never learned from; None when its record does not say what it did."""
    trained = trained_datasets(record)
    return None if trained is None else [name for name in datasets if name not in trained]
