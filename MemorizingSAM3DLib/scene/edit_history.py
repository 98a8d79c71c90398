"""What can be undone: edits of prompts, in the order in which they were made, across all segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from MemorizingSAM3DLib.engine.prompts import Prompts


@dataclass(frozen=True)
class Edit:
    """One step of the user: a segment's prompts before and after it, and what the step is called."""

    segmentID: str
    before: Prompts
    after: Prompts
    text: str


@dataclass(frozen=True)
class EditHistory:
    """An immutable history: undo and redo move an index, a new edit forgets what had been undone."""

    edits: tuple[Edit, ...] = ()
    position: int = 0

    @property
    def toUndo(self) -> Edit | None:
        """The edit that undo takes back."""
        return self.edits[self.position - 1] if self.position > 0 else None

    @property
    def toRedo(self) -> Edit | None:
        """The edit that redo makes again."""
        return self.edits[self.position] if self.position < len(self.edits) else None

    def edited(self, edit: Edit) -> EditHistory:
        """The history after one more edit."""
        return EditHistory((*self.edits[: self.position], edit), self.position + 1)

    def undone(self) -> EditHistory:
        """One step back; the same history when there is none."""
        return EditHistory(self.edits, max(0, self.position - 1))

    def redone(self) -> EditHistory:
        """One step forward; the same history when there is none."""
        return EditHistory(self.edits, min(len(self.edits), self.position + 1))

    def withoutSegment(self, segmentID: str) -> EditHistory:
        """The history of the other segments, for when a segment was removed."""
        done = tuple(edit for edit in self.edits[: self.position] if edit.segmentID != segmentID)
        undone = tuple(edit for edit in self.edits[self.position :] if edit.segmentID != segmentID)
        return EditHistory((*done, *undone), len(done))


def describeEdit(before: Prompts, after: Prompts) -> str:
    """What happened to the clicks, in two words: "Add point", "Move point" and so on."""
    old, new = before.clicks, after.clicks
    if before.start != after.start:
        return "Change by hand"
    if not new:
        return "Clear points" if len(old) > 1 else "Delete point"
    if len(new) == len(old):
        changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
        if len(changed) == 1 and changed[0][0].ras == changed[0][1].ras:
            return "Turn point"
        return "Move point" if len(changed) == 1 else "Change points"
    if len(new) > len(old):
        return "Add point" if len(new) == len(old) + 1 else "Add points"
    return "Delete point" if len(new) == len(old) - 1 else "Delete points"


def describedFor(edit: Edit | None, segmentationNode: Any) -> str:
    """An edit with the name of its segment, for example "Add point (Liver)"; "" for none."""
    segment = None
    if edit is not None and segmentationNode is not None:
        segment = segmentationNode.GetSegmentation().GetSegment(edit.segmentID)
    return "" if edit is None or segment is None else f"{edit.text} ({segment.GetName()})"
