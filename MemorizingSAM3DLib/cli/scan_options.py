"""What every command that reads a scan asks for, and how it says what it found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from ..engine.geometry import Volume


def _known_modality(word: str | None) -> str | None:
    """DICOM's word for a modality, upper or lower case.

    Raises:
        typer.BadParameter: it is none.
    """
    from MemorizingSAM3DLib.engine.scans.modality import MODALITIES

    if word is None:
        return None
    known = MODALITIES.get(word.strip().upper())
    if known is None:
        raise typer.BadParameter(f"'{word}' is no modality. Known are {', '.join(MODALITIES)}.")
    return known


Modality = Annotated[
    str | None,
    typer.Option("--modality", callback=_known_modality, help="CT, MR, PT, ... when the file does not say it."),
]
SeriesChoice = Annotated[
    str | None, typer.Option("--series", help="Which DICOM series of a folder: its number in the list, or its UID.")
]
VolumeChoice = Annotated[
    int | None, typer.Option("--volume", min=1, help="Which volume of a 4D scan (time, echo, b-value), from 1.")
]


def _known_form(word: str | None) -> str | None:
    if word not in (None, "sform", "qform"):
        raise typer.BadParameter(f"'{word}' is neither sform nor qform.")
    return word


FormChoice = Annotated[
    str | None,
    typer.Option("--form", callback=_known_form, help="sform or qform of a NIfTI file.", show_default="sform"),
]


def open_scan(path: Path, console: Console, modality: str | None = None, series: str | None = None,
              volume: int | None = None, form: str | None = None) -> Volume:  # fmt: skip
    """Reads a scan and prints what the user should know of it."""
    from ..engine.geometry import Volume

    scan = Volume.from_file(path, modality, series=series, volume=volume, form=form)
    for note in scan.notes:
        console.print(f"Note: {note}", markup=False, highlight=False, soft_wrap=True)
    return scan
