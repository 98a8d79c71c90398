"""Points on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..engine.geometry import Volume

Point = tuple[tuple[float, float, float], bool]


def parse_point(text: str) -> Point:
    """``R,A,S`` or ``R,A,S,+`` is a positive point, ``R,A,S,-`` a negative one.

    Raises:
        typer.BadParameter: the text is not a point.
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        if len(parts) not in (3, 4) or (len(parts) == 4 and parts[3] not in ("+", "-")):
            raise ValueError
        x, y, z = (float(part) for part in parts[:3])
    except ValueError as error:
        raise typer.BadParameter(
            f"'{text}' is not a point. Write three numbers, 12.5,-8,30, and ',-' behind them for a negative one."
        ) from error
    return (x, y, z), not (len(parts) == 4 and parts[3] == "-")


def ras_of_voxel(volume: Volume, ijk: tuple[float, float, float]) -> tuple[float, float, float]:
    """The RAS mm of voxel numbers, where the file and Slicer count voxels alike.

    Raises:
        ClickError: they do not: Slicer from 5.8 counts the slices of a left-handed scan from the other end.
    """
    import numpy as np

    from ..engine.errors import ClickError

    if np.linalg.det(volume.ijk_to_ras[:3, :3]) < 0:
        i, j, k = ijk
        slicers = (i, j, volume.shape[0] - 1 - k)
        of_file, of_slicer = (
            ",".join(f"{value:.2f}" for value in volume.ijk_to_ras_points(place)) for place in (ijk, slicers)
        )
        raise ClickError(
            "This scan is stored left-handed: Slicer from 5.8 counts its slices from the other end than the file, "
            "nibabel and SimpleITK do, so that I,J,K is not clear.",
            f"Give R,A,S without --ijk: {','.join(f'{value:g}' for value in ijk)} is {of_file} in the numbers of the "
            f"file, {of_slicer} in those of Slicer.",
        )
    r, a, s = (float(value) for value in volume.ijk_to_ras_points(ijk))
    return r, a, s
