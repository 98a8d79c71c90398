"""When views render, and pictures of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class RenderRequests:
    """trame-slicer's rendering strategy: counts what Slicer asks for, and renders only when `live`.

    A render takes long without a graphics card, so tests that do not look at the view go without it.

    Attributes:
        requested: how often a render was asked for.
        rendered: how often the view was rendered.
        live: whether the view renders once the event loop is reached, many requests at once, as in Slicer.
    """

    def __init__(self) -> None:
        self.requested = 0
        self.rendered = 0
        self.live = False
        self._view: Any = None
        self._scheduled = False

    def set_abstract_view(self, abstractView: Any) -> None:
        self._view = abstractView

    def schedule_render(self) -> None:
        self.requested += 1
        if self.live and not self._scheduled:
            self._scheduled = True
            _whenIdle(self._renderNow)

    def did_render(self) -> None:
        self.rendered += 1
        self._scheduled = False

    def _renderNow(self) -> None:
        if self._scheduled and self._view is not None:
            self._view.render()


def _whenIdle(function: Callable[[], None]) -> None:
    from PySide6.QtCore import QTimer

    QTimer.singleShot(0, function)


def pixelsOf(renderWindow: Any) -> np.ndarray:
    """(height, width, 3) uint8, first row on top."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    image = _imageOf(renderWindow)
    columns, rows, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, 3)[::-1].copy()


def writePicture(renderWindow: Any, path: str | Path) -> Path:
    """Writes a PNG; its folder is made."""
    from vtkmodules.vtkIOImage import vtkPNGWriter

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = vtkPNGWriter()
    writer.SetInputData(_imageOf(renderWindow))
    writer.SetFileName(str(path))
    writer.Write()
    return path


def _imageOf(renderWindow: Any) -> Any:
    from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

    toImage = vtkWindowToImageFilter()
    toImage.SetInput(renderWindow)
    toImage.SetInputBufferTypeToRGB()
    toImage.ReadFrontBufferOff()
    toImage.Update()
    return toImage.GetOutput()
