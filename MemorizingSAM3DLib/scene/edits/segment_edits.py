"""Edits of clicks, the masks they lead to, and the way back: for all segments of one segmentation.

What can be done to one of a segment's clicks. A number that is none leaves them as they are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from MemorizingSAM3DLib.engine.errors import ClickError, EngineError, OutputError, VolumeError
from MemorizingSAM3DLib.engine.geometry.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click, Prompt, Prompts
from MemorizingSAM3DLib.engine.runtime.worker import CancelledError, Outcome
from MemorizingSAM3DLib.scene.compute.engine_thread import ComputedMask, Inference, SupersededError
from MemorizingSAM3DLib.scene.edits.history import Edit, EditHistory, SegmentState, SegmentStates, describeEdit
from MemorizingSAM3DLib.scene.edits.segment_record import SegmentRecord, digestOf
from MemorizingSAM3DLib.scene.scan import ScanFrame, checkScan
from MemorizingSAM3DLib.scene.segments.segmentation import isLocked
from MemorizingSAM3DLib.scene.signals import Signal
from MemorizingSAM3DLib.scene.status import messageOf


class ReplayDiffersError(Exception):
    """The saved clicks do not lead to the saved segment: another model, memory or device, or a masked segment."""


class SegmentEdits:
    """What the user does to the clicks of segments becomes edits: computed, written, undone and redone.

    A result comes back with the segment and the prompts that it was computed for, and is written only if these are
    still what the user wants. An edit that fails takes itself and those that wait for their masks back. A segment that
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
        self._history = self._committed = EditHistory()
        self._previewed: str | None = None

    def begin(self, segmentationNode: Any, scanNode: Any) -> None:
        """Starts anew, with the segments as they are now; without a segmentation and a scan nothing can be edited."""
        self._scanNode, self._states = scanNode, None
        self._history = self._committed = EditHistory()
        self._previewed, self.milliseconds = None, None
        if segmentationNode is not None and _canBeSegmented(scanNode):
            self._states = SegmentStates(segmentationNode, scanNode, self._inference, self._inference.choice.name)

    @property
    def toUndo(self) -> Edit | None:
        """The edit that undo takes back, in any segment."""
        return self._history.toUndo

    @property
    def toRedo(self) -> Edit | None:
        """The edit that redo makes again."""
        return self._history.toRedo

    @property
    def canEdit(self) -> bool:
        """Whether there are a segmentation and a scan on which it can be edited."""
        return self._states is not None

    def memoriesOf(self, segmentID: str) -> tuple[int, str | None]:
        """How many past clicks a segment's next one uses, and the remembered structure that it began from, or None."""
        if self._states is None or segmentID not in self._states:
            return 0, None
        state = self._states.of(segmentID)
        return state.interactions, state.recalled

    def clicksOf(self, segmentID: str) -> tuple[Click, ...]:
        """A segment's clicks, in the scan's own RAS; none where it cannot be edited."""
        try:
            prompts = self._stateOf(segmentID).prompts.clicks if segmentID else ()
            return tuple(prompt for prompt in prompts if isinstance(prompt, Click))
        except EngineError:
            return ()  # whoever selected the segment was told, and whoever edits it will be

    def checkInside(self, clicks: Sequence[Prompt]) -> None:
        """Raises ClickError unless all clicks, in the scan's own RAS, lie in the scan; VolumeError if it is no scan."""
        checkScan(self._scanNode)
        frame = ScanFrame(self._scanNode)
        for click in clicks:
            if not frame.contains(click.ras):
                raise ClickError("The point lies outside the scan.", "Place it where the scan is.")

    def change(self, segmentID: str, clicks: tuple[Prompt, ...]) -> None:
        """One edit: the segment's clicks are these from now on. Refused outside the scan and for a locked segment."""
        try:
            state = self._stateOf(segmentID)
            if clicks == state.prompts.clicks:
                self._endPreview(segmentID)
                return
            self._checkUnlocked(segmentID)
            self.checkInside(clicks)
            committed = state.committed.clicks
            if self._noticed(segmentID):
                # What had been achieved is part of what the segment is now; what the user has added since still counts.
                clicks = _added(clicks, committed)
        except EngineError as error:
            self.failed.emit(messageOf(error))
            self.clicksChanged.emit(segmentID)
            return
        after = self._made(state.prompts, clicks)
        if after == state.prompts:
            self.clicksChanged.emit(segmentID)
            return
        self._history = self._history.edited(_edit(segmentID, state.prompts, after))
        self._goTo(segmentID, after)

    def preview(self, segmentID: str, clicks: tuple[Prompt, ...]) -> None:
        """Shows where a point that is being dragged would lead. No edit; `change` follows when the drag ends."""
        try:
            state = self._stateOf(segmentID)
            self._checkUnlocked(segmentID)
            self.checkInside(clicks)
        except EngineError:
            return  # `change` will say so, once
        if clicks != state.prompts.clicks:
            self._previewed = segmentID
            self._request(segmentID, self._made(state.prompts, clicks), preview=True)

    def undo(self) -> str:
        """Takes the last edit back and returns its segment; "" when there is none, or it cannot be edited."""
        try:
            while (edit := self._history.toUndo) is not None:
                self._checkUnlocked(edit.segmentID)
                if not self._noticed(edit.segmentID):
                    break
        except EngineError as error:
            self.failed.emit(messageOf(error))
            return ""
        if edit is None:
            return ""
        self._history = self._history.undone()
        self._goTo(edit.segmentID, edit.before)
        return edit.segmentID

    def redo(self) -> str:
        """Makes the last undone edit again and returns its segment; "" when there is none, or it cannot be edited."""
        edit = self._history.toRedo
        if edit is None:
            return ""
        try:
            self._checkUnlocked(edit.segmentID)
            if self._noticed(edit.segmentID):
                return ""  # a change by someone else is a new edit: what had been undone is gone
        except EngineError as error:
            self.failed.emit(messageOf(error))
            return ""
        self._history = self._history.redone()
        self._goTo(edit.segmentID, edit.after)
        return edit.segmentID

    def noticeChange(self, segmentID: str) -> bool:
        """Whether someone else changed the segment since we looked last. That becomes an edit."""
        try:
            return self._states is not None and self._noticed(segmentID)
        except EngineError as error:
            self.failed.emit(messageOf(error))
            return False

    def takeBack(self, error: BaseException) -> None:
        """Gives up what is being computed and goes back to the last edits whose masks were written."""
        self._inference.worker.cancel()
        self._history = self._committed
        unfinished = {} if self._states is None else self._states.unfinished()
        for state in unfinished.values():
            state.request += 1
            state.prompts = state.committed
        for segmentID in unfinished:
            self.clicksChanged.emit(segmentID)
        if self._previewed is not None:
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
            self._committed = self._committed.withoutSegment(segmentID)
        if not self._states.unfinished():
            self._committed = self._history

    def _made(self, prompts: Prompts, clicks: tuple[Prompt, ...]) -> Prompts:
        """The prompts with other clicks. Those that are new listen to the memories as they are now."""
        return replace(prompts, clicks=clicks).made_after(prompts, self._inference.memory_settings)

    def _goTo(self, segmentID: str, prompts: Prompts) -> None:
        self._previewed = None
        self._stateOf(segmentID).prompts = prompts
        self._request(segmentID, prompts)
        self.clicksChanged.emit(segmentID)

    def _noticed(self, segmentID: str) -> bool:
        """As `noticeChange`; raises EngineError when the segment cannot be read."""
        state = self._stateOf(segmentID)
        assert self._states is not None
        start = self._states.foundChanged(segmentID)
        if start is None:
            return False
        pending = _added(state.prompts.clicks, state.committed.clicks)
        self._committed = self._committed.edited(_edit(segmentID, state.committed, start))
        self._goOnFrom(segmentID, start, pending)
        return True

    def _goOnFrom(self, segmentID: str, start: Prompts, clicks: tuple[Prompt, ...]) -> None:
        """The segment starts from what it holds; clicks that wait for their mask are applied to that."""
        assert self._states is not None
        state = self._states.of(segmentID)
        state.request += 1
        state.committed, state.prompts = start, self._made(start, clicks)
        if clicks:
            self._request(segmentID, state.prompts)
        # What other segments still wait for stays theirs to undo.
        self._history = self._committed
        for otherID, other in self._states.unfinished().items():
            self._history = self._history.edited(_edit(otherID, other.committed, other.prompts))
        self.clicksChanged.emit(segmentID)

    def _endPreview(self, segmentID: str) -> None:
        if self._previewed == segmentID:
            self._previewed = None
            if self._states is not None and segmentID in self._states:
                self._request(segmentID, self._states.of(segmentID).prompts)

    def _request(self, segmentID: str, prompts: Prompts, preview: bool = False) -> None:
        assert self._states is not None
        state = self._states.of(segmentID)
        state.request += 1
        number, started = state.request, time.perf_counter()
        first = None
        if state.restored is not None:
            first = (state.committed, partial(_judge, state.restored))
        states = self._states
        deliver = partial(self._deliver, states, segmentID, prompts, number, started, preview)
        self._inference.compute(
            prompts, state.written, lambda: states is self._states and state.request == number, deliver, first
        )
        self.asked.emit()

    def _deliver(self, states: SegmentStates, segmentID: str, prompts: Prompts, number: int, started: float,
                 preview: bool, outcome: Outcome) -> None:  # fmt: skip
        isCurrent = states is self._states and segmentID in states and states.of(segmentID).request == number
        if not isCurrent or isinstance(outcome.error, SupersededError):
            return
        if isinstance(outcome.error, ReplayDiffersError):
            self._startFromHeld(segmentID, prompts)
            return
        if outcome.error is not None:
            self.takeBack(outcome.error)
            return
        try:
            self._checkUnlocked(segmentID)  # it may have been locked since
            if not self._noticed(segmentID):
                self._write(states, segmentID, outcome.value, None if preview else prompts)
                self.milliseconds = (time.perf_counter() - started) * 1000
        except Exception as error:  # whatever it is (VTK without memory, say): a click must not stay half done
            self.takeBack(error)

    def _write(self, states: SegmentStates, segmentID: str, result: ComputedMask, prompts: Prompts | None) -> None:
        before = states.of(segmentID).committed
        states.write(segmentID, result, prompts)
        if not states.unfinished():
            self._committed = self._history
        elif prompts is not None and prompts != before:
            self._committed = self._committed.edited(_edit(segmentID, before, prompts))

    def _startFromHeld(self, segmentID: str, prompts: Prompts) -> None:
        """The saved clicks cannot be replayed: the segment stays, and what the user has just added refines it."""
        assert self._states is not None
        state = self._states.of(segmentID)
        assert state.restored is not None
        added = _added(prompts.clicks, state.restored.clicks)
        self._committed = self._committed.withoutSegment(segmentID)
        self._goOnFrom(segmentID, self._states.settle(segmentID), added)
        if not added:
            self.failed.emit(
                "The saved points of this segment do not lead to it with this model, and the memories as they are, on "
                "this computer. The segment stays as it is; new points refine it."
            )

    def _stateOf(self, segmentID: str) -> SegmentState:
        """Raises VolumeError and OutputError when the segment cannot be edited."""
        if self._states is None:
            checkScan(self._scanNode)
            raise OutputError("There is no segmentation.", "Choose one, or click to make one.")
        state = self._states.of(segmentID)
        while self._states.notes:
            self.failed.emit(self._states.notes.pop())
        return state

    def _checkUnlocked(self, segmentID: str) -> None:
        assert self._states is not None
        if isLocked(self._states.segmentationNode.GetSegmentation().GetSegment(segmentID)):
            raise OutputError("The segment is locked.", "Unlock it to go on with it, or add a new segment.")


def _edit(segmentID: str, before: Prompts, after: Prompts) -> Edit:
    return Edit(segmentID, before, after, describeEdit(before, after))


def _added(clicks: tuple[Prompt, ...], known: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
    """The clicks that are not among the known ones. Two on the same spot are two."""
    rest, added = Counter(known), []
    for click in clicks:
        if rest[click] > 0:
            rest[click] -= 1
        else:
            added.append(click)
    return tuple(added)


def _canBeSegmented(scanNode: Any) -> bool:
    try:
        checkScan(scanNode)
    except VolumeError:
        return False  # whoever chose it was told
    return True


def _judge(record: SegmentRecord, mask: PackedMask) -> None:
    if digestOf(mask) != record.digest:
        raise ReplayDiffersError


def withoutClick(clicks: tuple[Click, ...], number: int) -> tuple[Click, ...]:
    """The clicks without one of them, numbered from 0."""
    return tuple(click for other, click in enumerate(clicks) if other != number)


def withTurnedClick(clicks: tuple[Click, ...], number: int) -> tuple[Click, ...]:
    """The clicks with one turned from inside to outside, or back."""
    return tuple(
        replace(click, positive=not click.positive) if other == number else click for other, click in enumerate(clicks)
    )
