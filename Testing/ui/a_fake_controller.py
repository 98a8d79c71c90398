"""A controller without a network: points come and go at once, and the test says what the status is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.scene.compute.case_memory import CaseMemoryChoice, CaseMemoryFacts
from MemorizingSAM3DLib.scene.compute.model_choice import ModelChoice
from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation
from MemorizingSAM3DLib.scene.signals import Signal


@dataclass(frozen=True)
class FakePoint:
    number: int
    ras: tuple[float, float, float]
    positive: bool
    nodeName: str = "points"


@dataclass(frozen=True)
class FakeStatus:
    model: str = "A model"
    device: str = "A device"
    warning: str | None = None
    busy: str | None = None
    progress: float | None = None
    canCancel: bool = False
    lastClickMilliseconds: float | None = None
    caseMemory: CaseMemoryFacts = CaseMemoryFacts()
    hasInteractionMemory: bool | None = None
    interactionMemoryScans: tuple[str, ...] = ()
    interactions: int = 0
    recalled: str | None = None
    memoryNote: str = ""


class FakeMemories:
    """Notes what it is asked for.

    Attributes:
        calls: (name of the method, its argument or None), but for those of `choice` and `interactions`.
        error: raised by the next call.
    """

    def __init__(self) -> None:
        self.choice = CaseMemoryChoice(use=False)
        self.interactions: int | None = None
        self.calls: list[tuple[str, str | None]] = []
        self.error: Exception | None = None

    def choose(self, folder: str) -> None:
        self.choice = replace(self.choice, folder=folder)

    def setUse(self, use: bool) -> None:
        self.choice = replace(self.choice, use=use)

    def setNeighbours(self, neighbours: int) -> None:
        self.choice = replace(self.choice, neighbours=neighbours)

    def setInteractions(self, number: int | None) -> None:
        self.interactions = number

    def remember(self, name: str) -> None:
        self._note("remember", name)

    def propose(self, structure: str) -> None:
        self._note("propose", structure)

    def clear(self) -> None:
        self._note("clear")

    def exportTo(self, file: str) -> None:
        self._note("exportTo", file)

    def importFrom(self, file: str) -> None:
        self._note("importFrom", file)

    def _note(self, name: str, argument: str | None = None) -> None:
        self.calls.append((name, argument))
        error, self.error = self.error, None
        if error is not None:
            raise error


class FakeController:
    """Real segmentations and segments; everything else is a list in memory.

    Attributes:
        calls: the names of the methods that the panel called, in order.
        outstanding: how many more times `poll` says that it wants to be called again.
        error: raised by the next call of `startPlacing` or `setScan`.
    """

    def __init__(self) -> None:
        self.inputsChanged, self.segmentsChanged, self.pointsChanged = Signal(), Signal(), Signal()
        self.placingChanged, self.statusChanged, self.failed, self.wakeUp = Signal(), Signal(), Signal(), Signal()
        self.previewWhileDragging = True
        self.memories = FakeMemories()
        self.scanNode: Any = None
        self.segmentationNode: Any = None
        self.selectedSegmentID = ""
        self.positiveNode: Any = None
        self.negativeNode: Any = None
        self.placing: bool | None = None
        self.status = FakeStatus()
        self.model: ModelChoice | None = None
        self.jumpedTo: int | None = None
        self.calls: list[str] = []
        self.outstanding = 0
        self.error: Exception | None = None
        self.isClosed = False
        self._points: tuple[tuple[tuple[float, float, float], bool], ...] = ()
        self._past: list[tuple[str, Any]] = []
        self._future: list[tuple[str, Any]] = []
        self._locked: set[str] = set()

    # --- for tests

    def setStatus(self, **changes: Any) -> None:
        self.status = replace(self.status, **changes)
        self.statusChanged.emit()

    def place(self, ras: tuple[float, float, float], positive: bool = True) -> None:
        """What a click in a view does."""
        if not self.selectedSegmentID:
            self.newSegment()
        self._edit("Add point", (*self._points, (ras, positive)))

    # --- inputs

    def setScan(self, volumeNode: Any) -> None:
        self.calls.append("setScan")
        self._raise()
        self.scanNode = volumeNode
        self.inputsChanged.emit()

    def setSegmentation(self, segmentationNode: Any) -> None:
        self.calls.append("setSegmentation")
        self.segmentationNode = segmentationNode
        self.selectedSegmentID = ""
        self._points = ()
        self.inputsChanged.emit()
        self.segmentsChanged.emit()

    def selectSegment(self, segmentID: str) -> None:
        self.calls.append("selectSegment")
        self.selectedSegmentID = segmentID
        self._points = ()
        self.inputsChanged.emit()
        self.pointsChanged.emit()

    def newSegment(self, name: str | None = None) -> str:
        self.calls.append("newSegment")
        if self.segmentationNode is None:
            self.segmentationNode = createSegmentation(self.scanNode, "a segmentation")
        number = self.segmentationNode.GetSegmentation().GetNumberOfSegments() + 1
        self.selectedSegmentID = addSegment(self.segmentationNode, name or f"Segment {number}")
        self._points = ()
        self.inputsChanged.emit()
        self.segmentsChanged.emit()
        return self.selectedSegmentID

    def removeSegment(self, segmentID: str) -> None:
        self.calls.append("removeSegment")
        self.segmentationNode.GetSegmentation().RemoveSegment(segmentID)
        self.selectedSegmentID = ""
        self._points = ()
        self.inputsChanged.emit()
        self.segmentsChanged.emit()

    def isLocked(self, segmentID: str) -> bool:
        return segmentID in self._locked

    def setLocked(self, segmentID: str, locked: bool) -> None:
        (self._locked.add if locked else self._locked.discard)(segmentID)
        self.segmentsChanged.emit()

    # --- points

    @property
    def points(self) -> list[FakePoint]:
        return [FakePoint(number, ras, positive) for number, (ras, positive) in enumerate(self._points)]

    def startPlacing(self, positive: bool) -> None:
        self.calls.append("startPlacing")
        self._raise()
        self.placing = positive
        self.placingChanged.emit()

    def stopPlacing(self) -> None:
        self.calls.append("stopPlacing")
        self.placing = None
        self.placingChanged.emit()

    def removePoint(self, number: int) -> None:
        self._edit("Delete point", self._points[:number] + self._points[number + 1 :])

    def togglePoint(self, number: int) -> None:
        ras, positive = self._points[number]
        self._edit("Turn point", (*self._points[:number], (ras, not positive), *self._points[number + 1 :]))

    def clearPoints(self) -> None:
        self._edit("Clear points", ())

    def removeLastPoint(self) -> None:
        self._edit("Delete point", self._points[:-1])

    def jumpToPoint(self, number: int) -> None:
        self.jumpedTo = number

    @property
    def canUndo(self) -> bool:
        return bool(self._past)

    @property
    def canRedo(self) -> bool:
        return bool(self._future)

    @property
    def undoText(self) -> str:
        return f"{self._past[-1][0]} (Segment 1)" if self._past else ""

    @property
    def redoText(self) -> str:
        return f"{self._future[-1][0]} (Segment 1)" if self._future else ""

    def undo(self) -> None:
        text, points = self._past.pop()
        self._future.append((text, self._points))
        self._points = points
        self.pointsChanged.emit()

    def redo(self) -> None:
        text, points = self._future.pop()
        self._past.append((text, self._points))
        self._points = points
        self.pointsChanged.emit()

    # --- work

    def cancel(self) -> None:
        self.calls.append("cancel")
        self.setStatus(busy=None, progress=None, canCancel=False)

    def poll(self, wait: float = 0.0) -> bool:
        self.calls.append("poll")
        self.outstanding = max(0, self.outstanding - 1)
        return self.outstanding > 0

    def setModel(self, choice: ModelChoice) -> None:
        self.model = choice

    def close(self) -> None:
        self.isClosed = True

    def _edit(self, text: str, points: Any) -> None:
        self._past.append((text, self._points))
        self._future.clear()
        self._points = points
        self.pointsChanged.emit()

    def _raise(self) -> None:
        error, self.error = self.error, None
        if error is not None:
            raise error


def anEngineError() -> VolumeError:
    return VolumeError("The scan has no voxels.", "Load it again.")
