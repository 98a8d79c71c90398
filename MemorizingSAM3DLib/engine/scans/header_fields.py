"""What the header of a NRRD, MetaImage or TIFF file leaves unsaid, and ITK fills in: 1 mm voxels, placed at 0, 0, 0."""

from __future__ import annotations

import re
from pathlib import Path

_LONGEST_HEADER = 65536  # bytes


def unsaid(path: Path) -> str | None:
    """What the user should know of geometry that a file does not say; None where it says all, or another format."""
    name = path.name.lower()
    if name.endswith((".nrrd", ".nhdr")):
        fields = _fields(path, r"\r?\n\r?\n", ":")
        is_sized = bool(fields & {"space directions", "spacings"})
        is_placed = "space directions" in fields and bool(fields & {"space", "space dimension"})
    elif name.endswith((".mha", ".mhd")):
        fields = _fields(path, r"(?i)\nElementDataFile", "=")
        is_sized = bool(fields & {"elementspacing", "elementsize"})
        is_placed = bool(fields & {"offset", "position", "origin"})
    elif name.endswith((".tif", ".tiff", ".png", ".jpg", ".bmp")):
        is_sized = is_placed = False
    else:
        return None
    if not is_sized:
        return (
            f"{path.name} does not say the size of its voxels: 1 mm is taken. Sizes, volumes and the result depend on "
            "it; if it is another, set the spacing in Slicer's 'Volumes' module and save the scan anew."
        )
    if not is_placed:
        return f"{path.name} does not say where the scan lies, nor which side is left. It is placed as in Slicer."
    return None


def _fields(path: Path, end: str, mark: str) -> set[str]:
    """The names of the fields of a text header, in small letters."""
    with path.open("rb") as file:
        text = file.read(_LONGEST_HEADER).decode("latin-1")
    return {line.partition(mark)[0].strip().lower() for line in re.split(end, text)[0].splitlines() if mark in line}
