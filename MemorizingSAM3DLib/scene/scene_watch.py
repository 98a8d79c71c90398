"""What others do to the scene, told to whoever has to go along with it."""

from __future__ import annotations

from typing import Any, Protocol

from vtkmodules.util.misc import calldata_type
from vtkmodules.util.vtkConstants import VTK_OBJECT
from vtkmodules.vtkCommonCore import vtkCommand

from MemorizingSAM3DLib.scene.scan import gridOf


class SceneFollower(Protocol):
    """Whoever goes along with the scene."""

    def onSegmentsChanged(self) -> None: ...
    def onScanMoved(self) -> None: ...
    def onScanChanged(self) -> None: ...
    def onSegmentationChanged(self) -> None: ...
    def onNodeAboutToBeRemoved(self, node: Any) -> None: ...
    def onNodeRemoved(self) -> None: ...
    def onSceneReplaced(self) -> None: ...
    def onSceneClosing(self) -> None: ...


class SceneWatch:
    """Observes a scene, one scan and one segmentation of it.

    Args:
        follower: is told on the main thread, from within the scene's events.
    """

    def __init__(self, scene: Any, follower: SceneFollower) -> None:
        self._scene, self._follower = scene, follower
        self._content: tuple[Any, ...] = ()
        self._ofScan: list[tuple[Any, int]] = []
        self._ofSegmentation: list[tuple[Any, int]] = []
        self._ofScene = [
            (scene, scene.AddObserver(event, function))
            for event, function in (
                (scene.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved),
                (scene.NodeRemovedEvent, self._onNodeRemoved),
                (scene.StartCloseEvent, self._onStartClose),
                (scene.EndCloseEvent, self._onEndReplace),
                (scene.EndImportEvent, self._onEndReplace),
            )
        ]

    def followScan(self, volumeNode: Any) -> None:
        """Observes this scan and no other; None for none."""
        self._release(self._ofScan)
        if volumeNode is not None:
            self._content = _contentOf(volumeNode)
            self._ofScan = [
                (volumeNode, volumeNode.AddObserver(event, function))
                for event, function in (
                    (volumeNode.TransformModifiedEvent, self._onScanMoved),
                    (volumeNode.ImageDataModifiedEvent, self._onScanChanged),
                    (vtkCommand.ModifiedEvent, self._onScanModified),
                )
            ]

    def followSegmentation(self, segmentationNode: Any) -> None:
        """Observes this segmentation and no other; None for none."""
        self._release(self._ofSegmentation)
        if segmentationNode is not None:
            segmentation = segmentationNode.GetSegmentation()
            self._ofSegmentation = [
                (segmentation, segmentation.AddObserver(event, self._onSegmentsChanged))
                for event in (segmentation.SegmentAdded, segmentation.SegmentRemoved, segmentation.SegmentModified)
            ]
            tag = segmentationNode.AddObserver(segmentationNode.SegmentationChangedEvent, self._onSegmentationChanged)
            self._ofSegmentation.append((segmentationNode, tag))

    def close(self) -> None:
        """Observes nothing any longer."""
        for observed in (self._ofScan, self._ofSegmentation, self._ofScene):
            self._release(observed)

    @staticmethod
    def _release(observed: list[tuple[Any, int]]) -> None:
        for subject, tag in observed:
            subject.RemoveObserver(tag)
        observed.clear()

    def _onScanMoved(self, *_: Any) -> None:
        self._follower.onScanMoved()

    def _onScanChanged(self, *_: Any) -> None:
        self._follower.onScanChanged()

    def _onScanModified(self, volumeNode: Any, _event: str) -> None:
        # Slicer has no event for another spacing, origin or direction alone, nor for arrayFromVolumeModified.
        content = _contentOf(volumeNode)
        if content != self._content:
            self._content = content
            self._follower.onScanChanged()

    def _onSegmentationChanged(self, segmentationNode: Any, _event: str) -> None:
        self.followSegmentation(segmentationNode)
        self._follower.onSegmentationChanged()

    def _onSegmentsChanged(self, *_: Any) -> None:
        self._follower.onSegmentsChanged()

    @calldata_type(VTK_OBJECT)
    def _onNodeAboutToBeRemoved(self, _caller: Any, _event: str, node: Any) -> None:
        if not self._scene.IsClosing():
            self._follower.onNodeAboutToBeRemoved(node)

    def _onNodeRemoved(self, *_: Any) -> None:
        if not self._scene.IsClosing() and not self._scene.IsImporting():
            self._follower.onNodeRemoved()

    def _onStartClose(self, *_: Any) -> None:
        self._follower.onSceneClosing()

    def _onEndReplace(self, *_: Any) -> None:
        self._follower.onSceneReplaced()


def _contentOf(volumeNode: Any) -> tuple[Any, ...]:
    """What is another when the scan's geometry or voxels are."""
    image = volumeNode.GetImageData()
    scalars = None if image is None else image.GetPointData().GetScalars()
    return gridOf(volumeNode), None if scalars is None else scalars.GetMTime()
