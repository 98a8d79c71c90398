"""What can be undone: edits of prompts, in the order in which they were made, across all segments.

The segments of one segmentation as our clicks know them, and how changes by others are noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from MemorizingSAM3DLib.engine.geometry.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click, MemorySettings, Prompts
from MemorizingSAM3DLib.scene.compute.engine_thread import ComputedMask, Inference
from MemorizingSAM3DLib.scene.edits.segment_record import SegmentRecord, digestOf, readRecords, writeRecords
from MemorizingSAM3DLib.scene.scan import ScanFrame, gridOf
from MemorizingSAM3DLib.scene.segments.segmentation import packedMaskFromSegment
from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter


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


@dataclass
class SegmentState:
    """A segment between two clicks.

    Attributes:
        prompts: as the user sees them now. committed: those whose mask was written last.
        written: what the segment held when we last looked: what we wrote, or found.
        time: the labelmap's modification time then; as long as it stays, nobody else wrote.
        request: counts what was asked for, so that a result knows whether it is still the newest.
        restored: the record that `prompts` come from, until a replay has shown that it leads to what is there.
        interactions: how many past clicks the next one uses.
        recalled: the name of the remembered structure that the segment began from, or ""; None: from none, as far as
            is known.
        others: records that do not hold for this scan, model or mask; they stay in the scene with the segment.
    """

    prompts: Prompts
    committed: Prompts
    written: PackedMask
    time: int
    writer: SegmentWriter
    request: int = 0
    restored: SegmentRecord | None = None
    interactions: int = 0
    recalled: str | None = None
    others: tuple[SegmentRecord, ...] = ()


class SegmentStates:
    """Looks after the segments of a segmentation on a scan.

    Args:
        segmentationNode, volumeNode: of the scene.
        inference: where masks to start from are kept.
        model: the name that records are written with.
    """

    def __init__(self, segmentationNode: Any, volumeNode: Any, inference: Inference, model: str) -> None:
        self.segmentationNode, self.volumeNode = segmentationNode, volumeNode
        self._inference, self._model = inference, model
        self._states: dict[str, SegmentState] = {}
        self.notes: list[str] = []  # for the user, of what was done to the segmentation on the way

    def __contains__(self, segmentID: str) -> bool:
        return segmentID in self._states

    def known(self) -> set[str]:
        """The IDs of the segments that were looked at so far."""
        return set(self._states)

    def unfinished(self) -> dict[str, SegmentState]:
        """The segments whose newest clicks wait for their mask, by ID."""
        return {ID: state for ID, state in self._states.items() if state.prompts != state.committed}

    def of(self, segmentID: str) -> SegmentState:
        """The state of a segment; one that is seen for the first time is read from the scene.

        A segment with a record of its clicks that nobody has changed since goes on from them. Any other that has
        voxels, one from another tool say, is what the next click starts from.

        Raises:
            OutputError: there is no such segment. VolumeError: it cannot be brought onto the scan's grid.
        """
        if segmentID not in self._states:
            writer = SegmentWriter(self.segmentationNode, segmentID, self.volumeNode)
            written = packedMaskFromSegment(self.segmentationNode, segmentID, self.volumeNode)
            records = readRecords(self._segment(segmentID))
            record = next((one for one in records if self._holds(one, written)), None)
            prompts = Prompts(self._inference.addStart(written)) if record is None else self._promptsOf(record)
            self._states[segmentID] = SegmentState(
                prompts,
                prompts,
                written,
                self._time(segmentID),
                writer,
                restored=record,
                others=tuple(one for one in records if one is not record),
            )
            if writer.note:
                self.notes.append(writer.note)
        return self._states[segmentID]

    def foundChanged(self, segmentID: str) -> Prompts | None:
        """The prompts to go on with when someone else changed the segment since we looked last; None when nobody did.

        They start from what the segment holds now. The state itself keeps its prompts; `written` is brought up to date.

        Raises:
            OutputError, VolumeError: as `of`.
        """
        state = self.of(segmentID)
        time = self._time(segmentID)
        if time == state.time:
            return None
        written = packedMaskFromSegment(self.segmentationNode, segmentID, self.volumeNode)
        state.time = time
        if written.difference_box(state.written).is_empty:
            return None
        state.written, state.restored = written, None
        state.interactions, state.recalled = 0, None
        return Prompts(self._inference.addStart(written))

    def settle(self, segmentID: str) -> Prompts:
        """The prompts that start from what the segment holds, whatever led to it."""
        state = self.of(segmentID)
        state.restored, state.interactions, state.recalled = None, 0, None
        return Prompts(self._inference.addStart(state.written))

    def write(self, segmentID: str, result: ComputedMask, prompts: Prompts | None) -> None:
        """Turns the segment into a computed mask, as far as masking and locked neighbours allow, and records how.

        Args:
            prompts: what led to the mask; None for a preview, which does not count as achieved.

        Raises:
            OutputError: the segment or the scan is gone. VolumeError: they were moved relative to each other.
        """
        state = self._states[segmentID]
        box, voxels = result.box, result.voxels
        if result.shown is not state.written:
            box = result.mask.difference_box(state.written)
            voxels = result.mask.within(box)
        state.writer.writeVoxels(voxels, box)
        complete = state.writer.holds(voxels, box)
        state.written = (
            result.mask if complete else packedMaskFromSegment(self.segmentationNode, segmentID, self.volumeNode)
        )
        state.time = self._time(segmentID)
        state.interactions, state.recalled = result.interactions, result.recalled
        if prompts is not None:
            state.committed, state.restored = prompts, None
            self._record(segmentID, state)

    def drop(self, segmentID: str) -> None:
        """Forgets a segment that is gone."""
        self._states.pop(segmentID, None)

    def _holds(self, record: SegmentRecord, written: PackedMask) -> bool:
        """Whether a record of a segment's clicks holds for this scan, this model and these voxels."""
        frame = ScanFrame(self.volumeNode)
        return (
            record.fromNothing
            and record.model == self._model
            and record.isOnGrid(gridOf(self.volumeNode))
            and record.digest == digestOf(written)
            and all(frame.contains(click.ras) for click in record.clicks)
        )

    def _promptsOf(self, record: SegmentRecord) -> Prompts:
        """The recorded clicks. Those that no memory had a part in are made without one again."""
        cases = self._inference.memory_settings.cases
        memory_settings = tuple(
            MemorySettings(attended, cases if asked else None) for attended, asked in record.listened
        )
        return Prompts(0, record.clicks, memory_settings or (MemorySettings(),) * len(record.clicks))

    def _record(self, segmentID: str, state: SegmentState) -> None:
        committed, grid = state.committed, gridOf(self.volumeNode)
        # A memory that was asked and had nothing to say need not be asked again.
        told, hears = state.recalled is not None, bool(self._inference.hasInteractionMemory)
        listened = tuple(
            (one.interactions if hears else None, told and one.cases is not None) for one in committed.memory_settings
        )
        clicks = tuple(prompt for prompt in committed.clicks if isinstance(prompt, Click))
        record = SegmentRecord(clicks, committed.start == 0, self._model, digestOf(state.written), grid, listened)
        writeRecords((record, *state.others), self._segment(segmentID))

    def _segment(self, segmentID: str) -> Any:
        return self.segmentationNode.GetSegmentation().GetSegment(segmentID)

    def _time(self, segmentID: str) -> int:
        labelmap = self.segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
        return 0 if labelmap is None else int(labelmap.GetMTime())
