"""Slicer's place mode for one list of points at a time.

Slicer's slice views, as far as points have to do with them.
"""

from __future__ import annotations

from typing import Any

from MemorizingSAM3DLib.scene.signals import Signal

_SELECTION = "vtkMRMLSelectionNodeSingleton"
_INTERACTION = "vtkMRMLInteractionNodeSingleton"
_FIDUCIAL = "vtkMRMLMarkupsFiducialNode"


class PointPlacing:
    """Starts and ends the persistent place mode, and knows when anyone else in Slicer does.

    Place mode is Slicer's: it is kept in the scene's selection and interaction nodes, so that the mouse mode toolbar,
    other modules and the Escape key end it as they end any.

    Attributes:
        changed: emitted when place mode may have started, gone to another list or ended.
    """

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self.changed = Signal()
        self._observed: list[tuple[Any, int]] = []
        self._observe()

    def startFor(self, node: Any) -> None:
        """From now on every click in a view places a point in this list, until place mode ends."""
        self._observe()
        selection, interaction = self._nodes()
        selection.SetReferenceActivePlaceNodeClassName(_FIDUCIAL)
        selection.SetActivePlaceNodeID(node.GetID())
        interaction.SetPlaceModePersistence(1)
        interaction.SetCurrentInteractionMode(interaction.Place)

    def stop(self) -> None:
        """Ends place mode; the mouse moves, zooms and drags again."""
        _, interaction = self._nodes()
        if interaction is not None:
            interaction.SetPlaceModePersistence(0)
            interaction.SwitchToViewTransformMode()

    def placesIn(self, node: Any) -> bool:
        """Whether a click in a view places a point in this list now."""
        selection, interaction = self._nodes()
        return (
            node is not None
            and selection is not None
            and interaction.GetCurrentInteractionMode() == interaction.Place
            and selection.GetActivePlaceNodeID() == node.GetID()
        )

    def close(self) -> None:
        """Follows them no longer."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed.clear()

    def _observe(self) -> None:
        """Follows the scene's selection and interaction nodes, which appear with the application."""
        from vtkmodules.vtkCommonCore import vtkCommand

        for node in self._nodes():
            if node is not None and all(node is not observed for observed, _ in self._observed):
                self._observed.append((node, node.AddObserver(vtkCommand.ModifiedEvent, self._report)))

    def _report(self, *_: Any) -> None:
        self.changed.emit()

    def _nodes(self) -> tuple[Any, Any]:
        return self._scene.GetNodeByID(_SELECTION), self._scene.GetNodeByID(_INTERACTION)


def jumpTo(scene: Any, ras: tuple[float, float, float]) -> None:
    """Brings all slice views to a point, world RAS in mm."""
    import slicer

    r, a, s = ras
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, r, a, s, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
