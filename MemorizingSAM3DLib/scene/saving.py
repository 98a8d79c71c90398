"""Segmentations and whole scenes to files.

Everything is written beside its destination first and moved there when it is complete, so that a full disk or a crash
never spoils a file that was there before."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.scene.vtk_messages import capturedMessages

_SEGMENTATION_SUFFIXES = (".seg.nrrd", ".nrrd")


def checkOutput(path: str | Path, bytesNeeded: int = 0) -> Path:
    """Whether a file can be written, to be asked before hours of work rather than after.

    Args:
        path: the file to be.
        bytesNeeded: its size, as far as it is known.

    Returns:
        the absolute path.

    Raises:
        OutputError: its folder does not exist or is not writable, it is a folder, or the disk has not enough room.
    """
    path = Path(path).expanduser().absolute()
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"The folder '{folder}' does not exist.", "Create it, or choose another one.")
    if path.is_dir():
        raise OutputError(f"'{path}' is a folder.", "Choose a file name.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(f"'{path.name}' is read-only")
    except OSError as error:
        raise OutputError(
            f"Nothing can be written as '{path}' ({error.strerror or error}).",
            "Choose another folder, or ask for write permission on this one.",
        ) from error
    free = shutil.disk_usage(folder).free
    if free < bytesNeeded:
        raise OutputError(
            f"The disk of '{folder}' has {free / 1e6:.0f} MB left, and about {bytesNeeded / 1e6:.0f} MB are needed.",
            "Make room, or choose a folder on another disk.",
        )
    return path


def saveSegmentation(segmentationNode: Any, path: str | Path) -> Path:
    """Writes all segments of a segmentation, with names, colours and tags, on the scan's full extent.

    Args:
        segmentationNode: vtkMRMLSegmentationNode
        path: .seg.nrrd (opens as segmentation in Slicer) or .nrrd.

    Returns:
        the absolute path.

    Raises:
        OutputError: see `checkOutput`; another suffix; no segmentation; Slicer could not write.
    """
    import slicer

    if segmentationNode is None or segmentationNode.GetScene() is None:
        raise OutputError("The segmentation is no longer in the scene.", "Choose the segmentation to save.")
    if not str(path).lower().endswith(_SEGMENTATION_SUFFIXES):
        raise OutputError(f"'{Path(path).name}' is not a segmentation's file name.", "Let it end in .seg.nrrd.")
    with _completed(checkOutput(path, bytesNeeded=10_000_000)) as partial:
        storageNode = slicer.vtkMRMLSegmentationStorageNode()
        storageNode.SetFileName(partial.as_posix())
        storageNode.SetUseCompression(True)
        with capturedMessages() as messages:
            isWritten = storageNode.WriteData(segmentationNode)
        if not isWritten:
            raise OutputError(f"The segmentation could not be written. {messages.lastError()}", _REMEDY)
    return Path(path).expanduser().absolute()


def saveScene(path: str | Path) -> Path:
    """Writes the whole scene with its data into one .mrb file, which Slicer opens.

    Returns:
        the absolute path.

    Raises:
        OutputError: see `checkOutput`; another suffix; Slicer could not write.
    """
    import slicer

    if Path(path).suffix.lower() != ".mrb":
        raise OutputError(f"'{Path(path).name}' is not a scene bundle's file name.", "Let it end in .mrb.")
    scene = slicer.mrmlScene
    url, rootDirectory = scene.GetURL(), scene.GetRootDirectory()
    with _completed(checkOutput(path, bytesNeeded=_sizeOfVolumes(scene) // 2)) as partial:
        with capturedMessages() as messages:
            isWritten = scene.WriteToMRB(partial.as_posix())
        scene.SetURL(url)
        scene.SetRootDirectory(rootDirectory)
        if not isWritten or not zipfile.is_zipfile(partial):
            raise OutputError(f"The scene could not be written. {messages.lastError()}", _REMEDY)
    return Path(path).expanduser().absolute()


_REMEDY = "Check that the disk is not full and that the folder can be written, and save again."


@contextmanager
def _completed(path: Path) -> Iterator[Path]:
    """A path of the same name in a new folder beside the destination; moved to it when the block ends without an
    error."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
            partial = Path(folder, path.name)
            yield partial
            if not partial.is_file() or partial.stat().st_size == 0:
                raise OutputError(f"'{path.name}' was not written.", _REMEDY)
            partial.replace(path)
    except OSError as error:
        raise OutputError(f"'{path}' could not be written ({error.strerror or error}).", _REMEDY) from error


def _sizeOfVolumes(scene: Any) -> int:
    kilobytes = 0
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")):
        image = scene.GetNthNodeByClass(index, "vtkMRMLVolumeNode").GetImageData()
        kilobytes += image.GetActualMemorySize() if image is not None else 0
    return 1024 * kilobytes
