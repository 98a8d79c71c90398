"""Edits of clicks, the masks they lead to, and the way back: for all segments of one segmentation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from MemorizingSAM3DLib.engine.cancellation import CancelledError
from MemorizingSAM3DLib.engine.errors import ClickError, EngineError, OutputError
from MemorizingSAM3DLib.engine.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click, Prompts
from MemorizingSAM3DLib.engine.worker import Outcome
from MemorizingSAM3DLib.scene.edit_history import Edit, EditHistory, describeEdit
from MemorizingSAM3DLib.scene.failures import messageOf
from MemorizingSAM3DLib.scene.inference import Inference, SupersededError
from MemorizingSAM3DLib.scene.scan_frame import ScanFrame
from MemorizingSAM3DLib.scene.segment_record import SegmentRecord, digestOf
from MemorizingSAM3DLib.scene.segment_states import SegmentState, SegmentStates
from MemorizingSAM3DLib.scene.signals import Signal
from MemorizingSAM3DLib.scene.volumes import checkScan


class ReplayDiffersError(Exception):
    """The saved clicks do not lead to the saved segment: another model, another device, or a masked segment."""


class SegmentEdits:
    """What the user does to the clicks of segments becomes edits: computed, written, undone and redone.

    A result comes back with the segment and the prompts that it was computed for, and is written only if these are
    still what the user wants. An edit that fails takes itself and those that wait behind it back. A segment that
    someone else changed keeps that change: it becomes an edit of its own, and what the next click starts from.

    Args:
        inference: where masks come from.

    Attributes:
        clicksChanged: (segmentID) its clicks, or what can be undone, are others.
        failed: (message) for the user. asked: something was asked of the worker.
        milliseconds: from the last edit to its segment in the scene, None before the first.
    """

    def __init__(self, inference: Inference) -> None:
        self.clicksChanged, self.failed, self.asked = Signal(), Signal(), Signal()
        self.milliseconds: float | None = None
        self._inference = inference
        self._scanNode: Any = None
        self._states: SegmentStates | None = None
        self._history = self._achieved = EditHistory()
        self._previewed: str | None = None

    def begin(self, segmentationNode: Any, scanNode: Any) -> None:
        """Starts anew, with the segments as they are now; without a segmentation or a scan there is nothing to edit."""
        self._scanNode, self._states = scanNode, None
        self._history = self._achieved = EditHistory()
        self._previewed, self.milliseconds = None, None
        if segmentationNode is not None and scanNode is not None:
            self._states = SegmentStates(segmentationNode, scanNode, self._inference, self._inference.choice.name)

    @property
    def toUndo(self) -> Edit | None:
        """The edit that undo takes back, in any segment."""
        return self._history.toUndo

    @property
    def toRedo(self) -> Edit | None:
        """The edit that redo makes again."""
        return self._history.toRedo

    def isLocked(self, segmentID: str) -> bool:
        """Whether a segment is locked."""
        return self._states is not None and self._states.isLocked(segmentID)

    def clicksOf(self, segmentID: str) -> tuple[Click, ...]:
        """A segment's clicks, in the scan's own RAS; none when it cannot be read (`failed` says why)."""
        state = self._stateOf(segmentID) if segmentID else None
        return () if state is None else state.prompts.clicks

    def areInside(self, clicks: Sequence[Click]) -> bool:
        """Whether all clicks, in the scan's own RAS, lie in the scan; `failed` says so if not."""
        try:
            checkScan(self._scanNode)
            frame = ScanFrame(self._scanNode)
            for click in clicks:
                if not frame.contains(click.ras):
                    raise ClickError("The point lies outside the scan.", "Place it where the scan is.")
        except EngineError as error:
            self.failed.emit(messageOf(error))
            return False
        return True

    def change(self, segmentID: str, clicks: tuple[Click, ...]) -> None:
        """One edit: the segment's clicks are these from now on. Refused outside the scan and for a locked segment."""
        state = self._stateOf(segmentID)
        if state is None:
            return
        if clicks == state.prompts.clicks:
            self._endPreview(segmentID)
            return
        known = state.prompts.clicks
        if self._mayChange(segmentID) and self.areInside(clicks):
            if self.noticeChange(segmentID):
                # The old clicks are part of what the segment is now; only what the user has just added still counts.
                clicks = tuple(click for click in clicks if click not in known)
            after = replace(state.prompts, clicks=clicks)
            if after != state.prompts:
                edit = Edit(segmentID, state.prompts, after, describeEdit(state.prompts, after))
                self._history = self._history.edited(edit)
                self._goTo(segmentID, after)
                return
        self.clicksChanged.emit(segmentID)

    def preview(self, segmentID: str, clicks: tuple[Click, ...]) -> None:
        """Shows where a point that is being dragged would lead. No edit; `change` follows when the drag ends."""
        state = self._stateOf(segmentID)
        if state is None or clicks == state.prompts.clicks or self.isLocked(segmentID):
            return
        if all(ScanFrame(self._scanNode).contains(click.ras) for click in clicks):
            self._previewed = segmentID
            self._request(segmentID, replace(state.prompts, clicks=clicks), preview=True)

    def undo(self) -> str:
        """Takes the last edit back and returns its segment; "" when there is none, or it is locked."""
        edit = self._history.toUndo
        if edit is None or not self._mayChange(edit.segmentID):
            return ""
        if self.noticeChange(edit.segmentID):
            edit = self._history.toUndo
            assert edit is not None
        self._history = self._history.undone()
        self._goTo(edit.segmentID, edit.before)
        return edit.segmentID

    def redo(self) -> str:
        """Makes the last undone edit again and returns its segment; "" when there is none, or it is locked."""
        edit = self._history.toRedo
        if edit is None or not self._mayChange(edit.segmentID) or self.noticeChange(edit.segmentID):
            return ""  # a change by someone else is a new edit: what had been undone is gone
        self._history = self._history.redone()
        self._goTo(edit.segmentID, edit.after)
        return edit.segmentID

    def noticeChange(self, segmentID: str) -> bool:
        """Whether someone else changed the segment since we looked last. That becomes an edit."""
        state = self._stateOf(segmentID)
        start = self._states.foundChanged(segmentID) if self._states is not None and state is not None else None
        if state is None or start is None:
            return False
        pending = tuple(click for click in state.prompts.clicks if click not in state.achieved.clicks)
        edit = Edit(segmentID, state.achieved, start, describeEdit(state.achieved, start))
        self._history = self._achieved = self._achieved.edited(edit)
        self._goOnFrom(segmentID, start, pending)
        return True

    def takeBack(self, error: BaseException) -> None:
        """Gives up what is being computed and goes back to the last edits whose masks were written."""
        self._inference.worker.cancel()
        self._history = self._achieved
        states = self._states
        for segmentID in sorted(states.known()) if states is not None else ():
            state = self._stateOf(segmentID)
            if state is not None:
                state.request += 1
                state.prompts = state.achieved
                self.clicksChanged.emit(segmentID)
        if self._previewed is not None and states is not None and self._previewed in states:
            self._endPreview(self._previewed)
        if not isinstance(error, CancelledError):
            self.failed.emit(messageOf(error))

    def keepOnly(self, segmentIDs: set[str]) -> None:
        """Forgets the segments that are gone."""
        if self._states is None:
            return
        for segmentID in self._states.known() - segmentIDs:
            self._states.drop(segmentID)
            self._history = self._history.withoutSegment(segmentID)
            self._achieved = self._achieved.withoutSegment(segmentID)

    def _goTo(self, segmentID: str, prompts: Prompts) -> None:
        state = self._stateOf(segmentID)
        if state is not None:
            self._previewed = None
            state.prompts = prompts
            self._request(segmentID, prompts)
            self.clicksChanged.emit(segmentID)

    def _goOnFrom(self, segmentID: str, start: Prompts, clicks: tuple[Click, ...]) -> None:
        """The segment starts from what it holds; clicks that wait for their mask are applied to that."""
        state = self._stateOf(segmentID)
        assert state is not None
        state.request += 1
        state.prompts = state.achieved = start
        if clicks:
            state.prompts = replace(start, clicks=clicks)
            edit = Edit(segmentID, start, state.prompts, describeEdit(start, state.prompts))
            self._history = self._history.edited(edit)
            self._request(segmentID, state.prompts)
        self.clicksChanged.emit(segmentID)

    def _endPreview(self, segmentID: str) -> None:
        if self._previewed == segmentID:
            self._previewed = None
            state = self._stateOf(segmentID)
            if state is not None:
                self._request(segmentID, state.prompts)

    def _request(self, segmentID: str, prompts: Prompts, preview: bool = False) -> None:
        assert self._states is not None
        state = self._states.of(segmentID)
        state.request += 1
        number, started = state.request, time.perf_counter()
        first = None
        if state.restored is not None:
            first = (Prompts(0, state.restored.clicks), partial(_judge, state.restored))
        deliver = partial(self._deliver, self._states, segmentID, prompts, number, started, preview)
        self._inference.compute(prompts, state.held, lambda: state.request == number, deliver, first)
        self.asked.emit()

    def _deliver(self, states: SegmentStates, segmentID: str, prompts: Prompts, number: int, started: float,
                 preview: bool, outcome: Outcome) -> None:  # fmt: skip
        isCurrent = states is self._states and segmentID in states and states.of(segmentID).request == number
        if not isCurrent or isinstance(outcome.error, SupersededError):
            return
        if isinstance(outcome.error, ReplayDiffersError):
            self._startFromHeld(segmentID, prompts)
        elif outcome.error is not None:
            self.takeBack(outcome.error)
        elif not self.noticeChange(segmentID):
            try:
                states.write(segmentID, outcome.value, None if preview else prompts)
            except EngineError as error:
                self.takeBack(error)
                return
            self.milliseconds = (time.perf_counter() - started) * 1000
            if all(state.prompts == state.achieved for state in states.all()):
                self._achieved = self._history

    def _startFromHeld(self, segmentID: str, prompts: Prompts) -> None:
        """The saved clicks cannot be replayed: the segment stays, and what the user has just added refines it."""
        assert self._states is not None
        state = self._states.of(segmentID)
        assert state.restored is not None
        added = tuple(click for click in prompts.clicks if click not in state.restored.clicks)
        self._history = self._achieved = self._achieved.withoutSegment(segmentID)
        self._goOnFrom(segmentID, self._states.settle(segmentID), added)
        if not added:
            self.failed.emit(
                "The saved points of this segment do not lead to it with this model on this computer. The segment "
                "stays as it is; new points refine it."
            )

    def _stateOf(self, segmentID: str) -> SegmentState | None:
        try:
            if self._states is None:
                checkScan(self._scanNode)
                raise OutputError("There is no segmentation.", "Choose one, or click to make one.")
            return self._states.of(segmentID)
        except EngineError as error:
            self.failed.emit(messageOf(error))
            return None

    def _mayChange(self, segmentID: str) -> bool:
        if not self.isLocked(segmentID):
            return True
        self.failed.emit("The segment is locked. Unlock it to go on with it, or add a new segment.")
        return False


def _judge(record: SegmentRecord, mask: PackedMask) -> None:
    if digestOf(mask) != record.digest:
        raise ReplayDiffersError
