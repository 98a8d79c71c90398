"""Slicer's own test of the module: what a user does, on a scan made here, with the shipped model. No download."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from MemorizingSAM3DLib.scene.click_controller import ClickController
from MemorizingSAM3DLib.scene.saving import saveScene, saveSegmentation
from MemorizingSAM3DLib.scene.scan import ijkToWorld
from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation, maskFromSegment

_SPACING_MM = 2.0
_SHAPE = (72, 80, 80)
LESIONS = ((20, 22, 24), (24, 56, 30), (48, 30, 52), (50, 58, 56))
_RADIUS_MM = 13.0


class SelfTest:
    """The scenarios. Each starts from an empty scene.

    Args:
        controller: of the module.
        say: gets what is being done, in words.
    """

    def __init__(self, controller: ClickController, say: Callable[[str], None]) -> None:
        self._controller, self._say = controller, say
        self._messages: list[str] = []
        controller.failed.connect(self._messages.append)

    def close(self) -> None:
        """Lets go of the controller."""
        self._controller.failed.disconnect(self._messages.append)

    def run(self) -> None:
        """All scenarios, one after another.

        Raises:
            AssertionError: one of them ended otherwise than it should.
        """
        for scenario in (
            self.clicksMakeASegment,
            self.pointsCanBeDraggedTurnedAndDeleted,
            self.lesionsBecomeSegments,
            self.anImportedSegmentIsRefined,
            self.aLockedNeighbourStays,
            self.workGoesOnAfterReloading,
            self.cancellingAndDeletingHarmNothing,
        ):
            import slicer

            slicer.mrmlScene.Clear(False)
            self._messages.clear()
            self._say(scenario.__doc__ or scenario.__name__)
            scenario()
            assert self._messages == [], self._messages
        self._say("All scenarios ended well.")

    def clicksMakeASegment(self) -> None:
        """First segment in three clicks; undo to nothing, redo to everything."""
        scan = self._openScan()
        for kji, positive in ((LESIONS[0], True), ((8, 70, 70), False), ((22, 24, 26), True)):
            self._place(kji, positive)
        mask = self._mask()
        assert _dice(mask, _ball(LESIONS[0])) > 0.7, _dice(mask, _ball(LESIONS[0]))
        for _ in range(3):
            self._controller.undo()
            self._settle()
        assert not self._mask().any() and not self._controller.canUndo
        for _ in range(3):
            self._controller.redo()
            self._settle()
        assert (self._mask() == mask).all()
        assert scan is self._controller.scanNode

    def pointsCanBeDraggedTurnedAndDeleted(self) -> None:
        """Points can be dragged, turned and deleted, and each counts at once."""
        self._openScan()
        self._place(LESIONS[0])
        node = self._controller.positiveNode
        node.SetNthControlPointPositionWorld(0, *self._world(LESIONS[3]))
        self._settle()
        assert self._mask()[LESIONS[3]] and len(self._controller.points) == 1
        self._place(LESIONS[0], positive=False)
        assert not self._mask()[LESIONS[0]]
        self._controller.togglePoint(1)
        self._settle()
        assert self._mask()[LESIONS[0]]
        self._controller.removePoint(0)
        self._settle()
        assert len(self._controller.points) == 1

    def lesionsBecomeSegments(self) -> None:
        """Four lesions become four segments."""
        self._openScan()
        for number, middle in enumerate(LESIONS):
            self._controller.newSegment("Lesion 1" if number == 0 else None)
            self._place(middle)
        segmentation = self._controller.segmentationNode.GetSegmentation()
        names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
        assert names == ["Lesion 1", "Lesion 2", "Lesion 3", "Lesion 4"], names
        for middle, segmentID in zip(LESIONS, segmentation.GetSegmentIDs(), strict=True):
            assert self._mask(segmentID)[middle]

    def anImportedSegmentIsRefined(self) -> None:
        """A segment from elsewhere is refined, and the way back leads to it."""
        import slicer

        scan = self._openScan()
        node = createSegmentation(scan, "imported")
        segmentID = addSegment(node, "half a lesion")
        half = _ball(LESIONS[1])
        half[LESIONS[1][0] :] = False
        slicer.util.updateSegmentBinaryLabelmapFromArray(half.astype(np.uint8), node, segmentID, scan)
        self._controller.setSegmentation(node)
        self._controller.selectSegment(segmentID)
        self._place((LESIONS[1][0] + 3, *LESIONS[1][1:]))
        assert self._mask().sum() > half.sum()
        self._controller.undo()
        self._settle()
        assert (self._mask() == half).all()

    def aLockedNeighbourStays(self) -> None:
        """A locked neighbour is not touched."""
        self._openScan()
        self._place(LESIONS[0])
        neighbour, before = self._controller.selectedSegmentID, self._mask()
        self._controller.setLocked(neighbour, True)
        self._controller.newSegment()
        self._place((LESIONS[0][0], LESIONS[0][1] + 2, LESIONS[0][2]))
        assert (self._mask(neighbour) == before).all()
        assert not (self._mask() & before).any()

    def workGoesOnAfterReloading(self) -> None:
        """A saved scene goes on with the identical next mask; a segmentation alone keeps its clicks."""
        import slicer

        self._openScan()
        self._place(LESIONS[2])
        self._place((LESIONS[2][0], LESIONS[2][1], LESIONS[2][2] + 9), positive=False)
        expected = self._mask()
        self._controller.undo()
        self._settle()
        with tempfile.TemporaryDirectory(prefix="MemorizingSAM3D-", ignore_cleanup_errors=True) as folder:
            bundle = saveScene(Path(folder, "scene.mrb"))
            alone = saveSegmentation(self._controller.segmentationNode, Path(folder, "alone.seg.nrrd"))
            slicer.mrmlScene.Clear(False)
            assert slicer.mrmlScene.ReadFromMRB(str(bundle), False)
            scan = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            self._controller.setScan(scan)
            self._controller.setSegmentation(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode"))
            segmentID = self._controller.segmentationNode.GetSegmentation().GetNthSegmentID(0)
            self._controller.selectSegment(segmentID)
            self._settle()
            assert len(self._controller.points) == 1
            self._place((LESIONS[2][0], LESIONS[2][1], LESIONS[2][2] + 9), positive=False)
            assert (self._mask() == expected).all()
            other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "alone")
            storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
            storage.SetFileName(str(alone))
            assert storage.ReadData(other)
            self._controller.setSegmentation(other)
            self._controller.selectSegment(other.GetSegmentation().GetNthSegmentID(0))
            assert len(self._controller.points) == 1

    def cancellingAndDeletingHarmNothing(self) -> None:
        """Cancelling takes the point back; deleting the scan during inference harms nothing."""
        import slicer

        scan = self._openScan()
        self._place(LESIONS[0])
        before = self._mask()
        self._place(LESIONS[3], wait=False)
        self._controller.poll()
        self._controller.cancel()
        self._settle()
        assert (self._mask() == before).all() and len(self._controller.points) == 1
        self._place(LESIONS[3], wait=False)
        self._controller.poll()
        slicer.mrmlScene.RemoveNode(scan)
        self._settle()
        assert self._controller.scanNode is None

    def _openScan(self) -> Any:
        import slicer

        matrix = np.diag([-_SPACING_MM, -_SPACING_MM, _SPACING_MM, 1.0])
        voxels = np.random.default_rng(1).normal(-100, 12, _SHAPE)
        for middle in LESIONS:
            voxels[_ball(middle)] += 200
        scan = slicer.util.addVolumeFromArray(voxels.astype(np.int16), matrix, "a synthetic scan")
        self._controller.setScan(scan)
        self._settle()
        return scan

    def _place(self, kji: tuple[int, int, int], positive: bool = True, wait: bool = True) -> None:
        node = self._controller.positiveNode if positive else self._controller.negativeNode
        node.AddControlPointWorld(*self._world(kji))
        if wait:
            self._settle()

    def _world(self, kji: tuple[int, int, int]) -> list[float]:
        k, j, i = kji
        return (ijkToWorld(self._controller.scanNode) @ (i, j, k, 1.0))[:3].tolist()

    def _mask(self, segmentID: str = "") -> np.ndarray:
        chosen = segmentID or self._controller.selectedSegmentID
        return maskFromSegment(self._controller.segmentationNode, chosen, self._controller.scanNode)

    def _settle(self) -> None:
        import slicer

        while self._controller.poll(0.02):
            if hasattr(slicer, "app"):
                slicer.app.processEvents()


def runScenarios(test: Any, controller: ClickController) -> None:
    """All scenarios, for a ScriptedLoadableModuleTest, whose delayDisplay shows what is being done."""
    scenarios = SelfTest(controller, lambda words: test.delayDisplay(words, 100))
    try:
        scenarios.run()
    finally:
        scenarios.close()


def _ball(kji: tuple[int, int, int]) -> np.ndarray:
    distances = np.indices(_SHAPE, sparse=True)
    squared = sum((axis - middle) ** 2 for axis, middle in zip(distances, kji, strict=True))
    return np.asarray(squared * _SPACING_MM**2 <= _RADIUS_MM**2)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))
