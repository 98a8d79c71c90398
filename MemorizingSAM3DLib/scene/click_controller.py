"""Clicks in the scene to segments in the scene: what the panel, scripts and tests drive. Knows no Qt."""

from __future__ import annotations

from functools import partial
from typing import Any

from MemorizingSAM3DLib.engine.errors import EngineError, VolumeError
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.worker import CancelledError, Outcome
from MemorizingSAM3DLib.scene.begin_segment import beginSegment
from MemorizingSAM3DLib.scene.compute.engine_thread import Inference
from MemorizingSAM3DLib.scene.compute.memories import Memories
from MemorizingSAM3DLib.scene.compute.model_choice import ModelChoice
from MemorizingSAM3DLib.scene.edits.history import describedFor
from MemorizingSAM3DLib.scene.edits.segment_edits import SegmentEdits, withoutClick, withTurnedClick
from MemorizingSAM3DLib.scene.edits.segment_record import lastClickedSegment, scanOf, segmentationOf
from MemorizingSAM3DLib.scene.points.place_mode import PointPlacing, jumpTo
from MemorizingSAM3DLib.scene.points.point_lists import Point, PointLists
from MemorizingSAM3DLib.scene.scan import ScanFrame, ScanInput, checkScan
from MemorizingSAM3DLib.scene.scene_watch import SceneWatch
from MemorizingSAM3DLib.scene.segments.oriented_images import alignSegmentation
from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation, isLocked, nextName, setLocked
from MemorizingSAM3DLib.scene.signals import Signal
from MemorizingSAM3DLib.scene.status import Status, messageOf, statusOf


class ClickController:
    """One scan, one segmentation, and the points of the segment that is selected.

    Whatever is done to the points, in the views, in the Markups module or through this class, is an edit: it is
    computed on a worker thread, written into the segment it was made for, and can be undone. An edit that fails or is
    cancelled leaves points, segment and history as they were. All methods are for the main thread; results arrive in
    `poll`.

    Args:
        choice: model and device; nothing is loaded before a scan is chosen.

    Attributes:
        inputsChanged: the scan, the segmentation or the selected segment is another.
        segmentsChanged: segments were added, removed, renamed or locked.
        pointsChanged: the points, or what can be undone.
        placingChanged: place mode. statusChanged: `status`.
        failed: (message) problem and remedy, for the user.
        wakeUp: `poll` wants to be called soon, and again as long as it returns True.
        previewWhileDragging: whether the segment follows a point that is being dragged.
        memories: the case memory and the interaction memory.
    """

    def __init__(self, choice: ModelChoice | None = None) -> None:
        import slicer

        self._scene = slicer.mrmlScene
        self.inputsChanged, self.segmentsChanged, self.pointsChanged = Signal(), Signal(), Signal()
        self.placingChanged, self.statusChanged, self.failed, self.wakeUp = Signal(), Signal(), Signal(), Signal()
        self.previewWhileDragging = True
        self._inference = Inference(choice or ModelChoice())
        self._edits = SegmentEdits(self._inference)
        self._edits.clicksChanged.connect(self._onClicksChanged)
        self._edits.failed.connect(self.failed.emit)
        self._edits.asked.connect(self.wakeUp.emit)
        self.memories = Memories(self._inference, self._selected, self.failed, partial(beginSegment, self))
        self.memories.changed.connect(self.wakeUp.emit)
        self._lists = PointLists(self._scene)
        self._lists.touched.connect(self._onTouched)
        self._placing = PointPlacing(self._scene)
        self._placing.changed.connect(self.placingChanged.emit)
        self._watch = SceneWatch(self._scene, self)
        self.scanNode: Any = None
        self.segmentationNode: Any = None
        self.selectedSegmentID = ""
        self._touched = self._scanChanged = self._listIsGone = False
        self._reported: Status | None = None

    # --- scan, segmentation, segment

    def setScan(self, volumeNode: Any) -> None:
        """Chooses the scan, or None. The model is loaded and the scan encoded in the background at once.

        A segmentation that belongs to another scan is left for the last one that was made on this scan, if any.
        """
        if volumeNode is self.scanNode:
            return
        self._flush()
        self.scanNode = volumeNode
        self._watch.followScan(volumeNode)
        node = self.segmentationNode
        if volumeNode is None or node is None or scanOf(node) not in (None, volumeNode):
            node = segmentationOf(self._scene, volumeNode)
        self._useSegmentation(node)
        self._takeScan()
        self._startEdits()

    def setSegmentation(self, segmentationNode: Any) -> None:
        """Chooses the segmentation; with None a new one is made at the first click.

        The segment that was made by clicks last is selected, so that work goes on where it stopped.
        """
        if segmentationNode is self.segmentationNode:
            return
        self._flush()
        self._useSegmentation(segmentationNode)
        self._startEdits()

    def selectSegment(self, segmentID: str) -> None:
        """Chooses the segment that clicks change; its points appear. "" for none: the next click makes a segment."""
        if segmentID == self.selectedSegmentID:
            return
        self._flush()
        if segmentID and self._segment(segmentID) is None:
            self.failed.emit("The segment is no longer in the segmentation. Choose or create a segment.")
            return
        self._select(segmentID)
        self.inputsChanged.emit()

    def newSegment(self, name: str | None = None) -> str:
        """Adds a segment and selects it, ready for its first click; place mode goes on.

        Returns:
            its ID; "" when it could not be edited on this scan (`failed` says why).
        """
        self._flush()
        return self._addSegment(name)

    def _addSegment(self, name: str | None = None) -> str:
        try:
            if self.segmentationNode is None:
                checkScan(self.scanNode)
                self._useSegmentation(createSegmentation(self.scanNode, f"{self.scanNode.GetName()} segmentation"))
                self._edits.begin(self.segmentationNode, self.scanNode)
            elif self._edits.canEdit and (note := alignSegmentation(self.segmentationNode, self.scanNode)):
                self.failed.emit(note)
            segmentID = addSegment(self.segmentationNode, name or nextName(self.segmentationNode))
        except EngineError as error:
            self.failed.emit(messageOf(error))
            return ""
        self._select(segmentID)
        self.inputsChanged.emit()
        return segmentID

    def removeSegment(self, segmentID: str) -> None:
        """Removes a segment with its points. A locked one stays."""
        if self.isLocked(segmentID):
            self.failed.emit("The segment is locked. Unlock it first.")
        elif self.segmentationNode is not None:
            self.segmentationNode.GetSegmentation().RemoveSegment(segmentID)

    def isLocked(self, segmentID: str) -> bool:
        """Whether a segment is locked: neither edited nor overwritten by us."""
        return isLocked(self._segment(segmentID))

    def setLocked(self, segmentID: str, locked: bool) -> None:
        """Locks or unlocks a segment; saved with it."""
        segment = self._segment(segmentID)
        if segment is not None:
            setLocked(segment, locked)
            self.segmentsChanged.emit()

    # --- points

    @property
    def positiveNode(self) -> Any:
        """The list of points inside, or None before there is a scan."""
        return self._lists.positiveNode

    @property
    def negativeNode(self) -> Any:
        """The list of points outside, or None before there is a scan."""
        return self._lists.negativeNode

    @property
    def points(self) -> list[Point]:
        """The points of the selected segment, in click order."""
        return self._lists.points()

    @property
    def placing(self) -> bool | None:
        """True while points inside are being placed, False while points outside are, None while none are."""
        if self._placing.placesIn(self.positiveNode):
            return True
        return False if self._placing.placesIn(self.negativeNode) else None

    def startPlacing(self, positive: bool) -> None:
        """From now on each click in a view is a point inside (or outside), until `stopPlacing`."""
        if self.scanNode is None:
            self.failed.emit("There is no scan. Load or choose a scan first.")
            return
        self._placing.startFor(self._lists.ensure()[0 if positive else 1])

    def stopPlacing(self) -> None:
        """The mouse moves and zooms again."""
        self._placing.stop()

    def removePoint(self, number: int) -> None:
        """Deletes a point; the segment becomes what it would be without it. One that is gone already is left alone."""
        self._take(withoutClick(self._currentClicks(), number))

    def removeLastPoint(self) -> None:
        """Deletes the newest point."""
        self._take(self._currentClicks()[:-1])

    def togglePoint(self, number: int) -> None:
        """Turns a point inside into a point outside, or back."""
        self._take(withTurnedClick(self._currentClicks(), number))

    def clearPoints(self) -> None:
        """Deletes all points; the segment becomes what it was before the first of them."""
        self._take(())

    def jumpToPoint(self, number: int) -> None:
        """Brings the slice views to a point."""
        points = self.points
        if 0 <= number < len(points):
            jumpTo(self._scene, points[number].ras)

    @property
    def canUndo(self) -> bool:
        """Whether there is an edit to undo, in any segment."""
        return self._edits.toUndo is not None

    @property
    def canRedo(self) -> bool:
        """Whether there is an undone edit."""
        return self._edits.toRedo is not None

    @property
    def undoText(self) -> str:
        """What undo takes back, for example "Add point (Liver)"; "" when nothing."""
        return describedFor(self._edits.toUndo, self.segmentationNode)

    @property
    def redoText(self) -> str:
        """What redo makes again; "" when nothing."""
        return describedFor(self._edits.toRedo, self.segmentationNode)

    def undo(self) -> None:
        """Takes the last edit back, whatever segment it was made in; that segment is selected."""
        self._flush()
        self._follow(self._edits.undo())

    def redo(self) -> None:
        """Makes the last undone edit again."""
        self._flush()
        self._follow(self._edits.redo())

    # --- work

    @property
    def status(self) -> Status:
        """What the user is told: model, device, what is being computed."""
        memories = self._edits.memoriesOf(self.selectedSegmentID)
        return statusOf(self._inference, self._edits.milliseconds, *memories, self.memories.note)

    def cancel(self) -> None:
        """Gives up what is being computed, at once; the points of the unfinished edits are taken back."""
        if self._inference.worker.current is not None:
            self._touched = False
            self._edits.takeBack(CancelledError())
            self._showPoints()
            self.pointsChanged.emit()
            self._report()

    def poll(self, wait: float = 0.0) -> bool:
        """Takes up what the user did and delivers what was computed.

        Args:
            wait: seconds to wait for a result when something is being computed. Other threads run meanwhile, which in
                Slicer they may not do while its event loop waits for the user.

        Returns:
            whether to call it again soon.
        """
        self._flush(dragEnds=False)
        busy = self._inference.worker.poll(wait)
        self._report()
        return busy or (self._touched and (self._canPreview or not self._lists.dragging))

    def setModel(self, choice: ModelChoice) -> None:
        """Another model or device, or the same one again if it could not be loaded before. What was segmented stays."""
        if choice != self._inference.choice or self._inference.loaded is None:
            self._flush()
            self._inference.setModel(choice)
            self._startEdits(self.selectedSegmentID)
            self._prepare()

    def close(self) -> None:
        """Lets go of the scene and ends the worker's thread."""
        self._touched = self._scanChanged = False
        if self.placing is not None:
            self.stopPlacing()
        self._edits.begin(None, None)
        self._watch.close()
        self._lists.close()
        self._placing.close()
        self._inference.close()

    # --- what the scene reports

    def onSegmentsChanged(self) -> None:
        """A segment was added, removed or renamed, by us or by anyone."""
        if self.segmentationNode is not None:
            present = set(self.segmentationNode.GetSegmentation().GetSegmentIDs())
            self._edits.keepOnly(present)
            if self.selectedSegmentID and self.selectedSegmentID not in present:
                self._select("")
                self.inputsChanged.emit()
        self.segmentsChanged.emit()

    def onScanMoved(self) -> None:
        """A transform above the scan is another: the points stay in the anatomy."""
        self._flushPoints(dragEnds=False)
        self._showPoints()

    def onScanChanged(self) -> None:
        """The scan's voxels or geometry are others. Often that takes several steps: we look when they are done."""
        self._scanChanged = True
        self.wakeUp.emit()

    def onSegmentationChanged(self) -> None:
        """All of the segmentation is another."""
        self._startEdits(self.selectedSegmentID)

    def onNodeAboutToBeRemoved(self, node: Any) -> None:
        """A node is about to leave the scene."""
        self._listIsGone |= self._lists.forget(node)
        if node is self.scanNode:
            self.setScan(None)
        elif node is self.segmentationNode:
            self.setSegmentation(None)

    def onNodeRemoved(self) -> None:
        """A node has left the scene. If it was a list of points, it is made again."""
        if self._listIsGone:
            self.onSceneReplaced()

    def onSceneReplaced(self) -> None:
        """A scene was loaded or imported: the lists are made what they should be."""
        self._touched = self._listIsGone = False
        self._showPoints()
        self.pointsChanged.emit()

    def onSceneClosing(self) -> None:
        """Everything is about to go."""
        self._touched = self._scanChanged = False
        self._lists.close()
        self.setScan(None)
        self.setSegmentation(None)

    # --- from the points in the views to edits, and back

    def _onTouched(self) -> None:
        self._touched = True
        self.wakeUp.emit()

    def _flush(self, dragEnds: bool = True) -> None:
        """Takes up what was done to the scan and to the points.

        Args:
            dragEnds: the user goes on to something else, so that a point that is being dragged counts where it is;
                otherwise the segment only follows it.
        """
        if self._scanChanged:
            added = self._newClicks()
            self._takeScan()
            self._startEdits(self.selectedSegmentID)
            if added:
                self._take((*self._edits.clicksOf(self.selectedSegmentID), *added))
        self._flushPoints(dragEnds)

    def _newClicks(self) -> list[Click]:
        """The points that were placed since we looked last."""
        placed = self._lists.clicks(ScanFrame(self.scanNode)) if self._touched and self.scanNode is not None else ()
        known = self._edits.clicksOf(self.selectedSegmentID)
        return [click for click in placed if click not in known]

    def _flushPoints(self, dragEnds: bool) -> None:
        isDragging = self._lists.dragging
        if not self._touched and not (isDragging and dragEnds):
            return
        isChanging = self._scene.IsClosing() or self._scene.IsImporting()
        if self.scanNode is None or isChanging:
            self._touched = False
        elif not isDragging or dragEnds:
            self._touched = False
            self._take(self._lists.clicks(ScanFrame(self.scanNode)))
        elif self._canPreview and self._inference.worker.current is None:
            self._touched = False
            self._edits.preview(self.selectedSegmentID, self._lists.clicks(ScanFrame(self.scanNode)))

    @property
    def _canPreview(self) -> bool:
        return self._lists.dragging and self.previewWhileDragging and bool(self.selectedSegmentID)

    def _take(self, clicks: tuple[Click, ...]) -> None:
        """Makes the points in the views the selected segment's; the first ones make a segment."""
        segmentID = self.selectedSegmentID
        if not segmentID and clicks:
            try:
                self._edits.checkInside(clicks)
                segmentID = self._addSegment()
            except EngineError as error:
                self.failed.emit(messageOf(error))
        if segmentID:
            self._edits.change(segmentID, clicks)
        else:
            self._showPoints()

    def _currentClicks(self) -> tuple[Click, ...]:
        self._flush()
        return self._edits.clicksOf(self.selectedSegmentID)

    def _onClicksChanged(self, segmentID: str) -> None:
        if segmentID == self.selectedSegmentID:
            self._showPoints()
        self.pointsChanged.emit()
        self._report()

    def _follow(self, segmentID: str) -> None:
        """Selects the segment that an undone or redone edit belongs to."""
        if segmentID and segmentID != self.selectedSegmentID:
            self._select(segmentID)
            self.inputsChanged.emit()

    # --- small print

    def _select(self, segmentID: str) -> None:
        self.selectedSegmentID = segmentID
        if segmentID:
            self._edits.noticeChange(segmentID)
        self._showPoints()
        self.pointsChanged.emit()
        self._report()

    def _selected(self) -> tuple[Any, str, Any]:
        self._flush()
        return self.segmentationNode, self.selectedSegmentID, self.scanNode

    def _showPoints(self) -> None:
        if self._scene.IsClosing():
            return
        if self.scanNode is None:
            self._lists.clear()
        else:
            self._lists.show(self._edits.clicksOf(self.selectedSegmentID), ScanFrame(self.scanNode))

    def _segment(self, segmentID: str) -> Any:
        return self.segmentationNode and self.segmentationNode.GetSegmentation().GetSegment(segmentID)

    def _useSegmentation(self, segmentationNode: Any) -> None:
        self.segmentationNode = segmentationNode
        self._watch.followSegmentation(segmentationNode)
        self.selectedSegmentID = ""

    def _takeScan(self) -> None:
        """The scan or its voxels are others: what was computed on it holds no longer."""
        self._scanChanged = False
        scan = None
        if self.scanNode is not None:
            try:
                scan = ScanInput.of(self.scanNode)
            except VolumeError as error:
                self.failed.emit(messageOf(error))
        self._inference.setScan(scan)
        self._prepare()

    def _prepare(self) -> None:
        if self._inference.hasScan:
            self._inference.prepare(self._onPrepared)
            self.wakeUp.emit()
        elif self.placing is not None:
            self.stopPlacing()

    def _startEdits(self, selected: str = "") -> None:
        """The segments are others, or led to by others: what could be undone cannot be any longer."""
        self._edits.begin(self.segmentationNode, self.scanNode)
        if self._segment(selected) is None:
            selected = lastClickedSegment(self.segmentationNode) if self._edits.canEdit else ""
        self._select(selected)
        self.inputsChanged.emit()
        self.segmentsChanged.emit()
        self._report()

    def _onPrepared(self, outcome: Outcome) -> None:
        self.memories.tellProblem()
        if outcome.error is not None and not outcome.cancelled:
            self.failed.emit(messageOf(outcome.error))

    def _report(self) -> None:
        status = self.status
        if status != self._reported:
            self._reported = status
            self.statusChanged.emit()
