"""VTK's and MRML's messages while reading, writing and rendering, which otherwise go straight to the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_logger = logging.getLogger(__name__)


class Messages:
    """What VTK said in a `capturedMessages` block; complete when the block has ended."""

    def __init__(self) -> None:
        self.text = ""

    def lastError(self) -> str:
        """The last error that VTK reported, in one line; empty when there was none."""
        _, found, error = self.text.rpartition("ERROR:")
        return " ".join(error.split()) if found else ""


@contextmanager
def capturedMessages() -> Iterator[Messages]:
    """Collects VTK's messages of the block instead of printing them; they go to the log at debug level.

    Inside Slicer nothing is collected: its own error log shows them.
    """
    from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow, vtkStringOutputWindow

    messages = Messages()
    if runsInsideSlicer():
        yield messages
        return
    previous = vtkOutputWindow.GetInstance()
    verbosity = vtkLogger.GetCurrentVerbosityCutoff()
    # No Python observer on the window: VTK's threads report while the main thread waits for them with Python's lock
    # held.
    window = vtkStringOutputWindow()
    vtkOutputWindow.SetInstance(window)
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield messages
    finally:
        vtkOutputWindow.SetInstance(previous)
        vtkLogger.SetStderrVerbosity(verbosity)
        messages.text = window.GetOutput() or ""
        if messages.text:
            _logger.debug("%s", messages.text)


def runsInsideSlicer() -> bool:
    """True in the Slicer application (its Python console, a module, a script given with --python-script)."""
    import slicer

    return hasattr(slicer, "app")
