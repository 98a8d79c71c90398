"""`qMRMLSegmentationShow3DButton`: makes the closed surface of a segmentation, or removes it."""

from __future__ import annotations

from typing import Any

from PySide6 import QtWidgets

from Testing.harness.pythonqt.ctk_widgets.buttons import ctkMenuButton
from Testing.harness.pythonqt.declaring import stored
from Testing.harness.pythonqt.implementations import implements
from Testing.harness.pythonqt.observing import Observations


@implements
class qMRMLSegmentationShow3DButton(ctkMenuButton):
    """Without the menu for smoothing."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        self._observations = Observations(self)
        self.setText("Show 3D")
        self.setCheckable(True)
        self.setEnabled(False)
        self.clicked.connect(self._onClicked)

    locked = stored(bool, False)

    def segmentationNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        import slicer

        self._observations.removeAll()
        self._node = node
        if node is not None:
            for event in (
                slicer.vtkSegmentation.ContainedRepresentationNamesModified,
                slicer.vtkSegmentation.SegmentAdded,
            ):
                self._observations.add(node, event, self._update)
        self._update()

    def _surfaceName(self) -> str:
        import slicer

        return str(slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName())

    def _update(self, _caller: Any = None) -> None:
        segmentation = self._node.GetSegmentation() if self._node is not None else None
        self.setEnabled(segmentation is not None and segmentation.GetNumberOfSegments() > 0)
        shown = segmentation is not None and segmentation.ContainsRepresentation(self._surfaceName())
        self.setChecked(bool(shown))

    def _onClicked(self, checked: bool) -> None:
        if self.locked:
            self._update()
        elif checked:
            self._node.CreateClosedSurfaceRepresentation()
        else:
            self._node.RemoveClosedSurfaceRepresentation()
        self._update()
