"""What several readers refuse, in the same words."""

from __future__ import annotations

from pathlib import Path

from ..errors import VolumeError

RESAMPLE_IN_SLICER = (
    "In Slicer, harden its transform, resample it with 'Resample Scalar/Vector/DWI Volume' or 'Crop Volume', and "
    "segment the result."
)
LOAD_WHOLE_SERIES = "Load the whole series, not single slices: a 3D scan is needed."
_ONE_VALUE = "In Slicer, convert it with the 'Vector to Scalar Volume' module, save it, and segment the result."


def unreadable(path: Path) -> VolumeError:
    """A file that is no image, or a damaged one."""
    return VolumeError(
        f"{path.name} cannot be read as an image: it is damaged, incomplete or of an unknown format.",
        "Copy or download it again. NRRD, NIfTI, MetaImage, MGH and DICOM are read; convert others to one of them.",
    )


def colours(components: int | None = None) -> VolumeError:
    """Several values a voxel."""
    told = f" with {components} components per voxel" if components else ""
    return VolumeError(f"The scan is a colour or vector image{told}.", _ONE_VALUE)


def four_dimensional(count: int) -> VolumeError:
    """Several volumes, such as time points."""
    return VolumeError(
        f"The scan is 4D, with {count} time points.",
        f"Choose one: --volume 1 to --volume {count} on the command line; in Slicer, the frame that the 'Sequences' "
        "module shows.",
    )


def sheared(name: str, path: Path | None = None) -> VolumeError:
    """Axes that are not perpendicular."""
    if path is None:
        return VolumeError(f"{name} is sheared: its axes are not perpendicular.", RESAMPLE_IN_SLICER)
    regular = "regular.nii.gz"
    return VolumeError(
        f"{name} is sheared: its axes are not perpendicular.",
        "Resample it onto a regular grid and segment the result, in Python: import nibabel, nibabel.processing; "
        f"nibabel.save(nibabel.processing.resample_to_output(nibabel.load({path.name!r})), {regular!r})",
    )
