"""Small files of every kind that is read, each with the voxels and the matrix that its standard says it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from Testing.engine.dicom_writing import AXIAL, CT, PT, SAGITTAL, write_enhanced, write_series

SHAPE = (9, 10, 11)  # (k, j, i)
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Sample:
    """A file to write and what reading it must give.

    Attributes:
        write: makes it in a folder and returns what to read. array: (K, J, I). matrix: IJK to RAS.
        differs: reader -> why it gives something else, in words that stand in docs/input.md.
    """

    name: str
    write: Callable[[Path], Path]
    array: np.ndarray
    matrix: np.ndarray
    differs: dict[str, str] = field(default_factory=dict)


def voxels(dtype: str, seed: int = 0) -> np.ndarray:
    """Noise that uses the type's sign and, for floats, fractions."""
    rng = np.random.default_rng(seed)
    low = 0 if np.dtype(dtype).kind == "u" else -100
    values = rng.uniform(low, 100, SHAPE) if np.dtype(dtype).kind == "f" else rng.integers(low, 100, SHAPE)
    return values.astype(dtype)


def turned(degrees: float, spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> np.ndarray:
    """A matrix turned about two axes."""
    a = np.radians(degrees)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_z @ about_x @ np.diag([-1, -1, 1]) * spacing
    matrix[:3, 3] = origin
    return matrix


MATRICES = {
    "straight": np.array([[-1.5, 0, 0, 30], [0, -0.8, 0, 20], [0, 0, 2.5, -7], [0, 0, 0, 1.0]]),
    "left-handed": np.array([[1.5, 0, 0, -30], [0, -0.8, 0, 20], [0, 0, 2.5, -7], [0, 0, 0, 1.0]]),
    "sagittal": np.array([[0, 0, 2.5, -12], [-0.8, 0, 0, 9], [0, 1.5, 0, 4], [0, 0, 0, 1.0]]),
    "oblique": turned(25, (0.9, 1.1, 3.0), (12, -8, 40)),
}


def nifti(name: str, dtype: str, matrix: np.ndarray, suffix: str = ".nii.gz", endian: str = "<", kind: str = "1",
          form: str = "both", slope: tuple[float, float] | None = None, units: str = "mm",
          differs: dict[str, str] | None = None) -> Sample:  # fmt: skip
    array = voxels(dtype)
    scale = {"mm": 1.0, "micron": 1e-3, "meter": 1e3}[units]
    wanted = matrix.copy()
    if form == "none":
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        wanted = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])

    def write(folder: Path) -> Path:
        classes = {"1": (nib.Nifti1Image, nib.Nifti1Header), "2": (nib.Nifti2Image, nib.Nifti2Header),
                   "pair": (nib.Nifti1Pair, nib.nifti1.Nifti1PairHeader)}  # fmt: skip
        image_class, header_class = classes[kind]
        header = header_class(endianness=endian)
        header.set_data_dtype(np.dtype(dtype))
        stored = matrix.copy()
        stored[:3] /= scale
        image = image_class(array.T, stored, header)
        image.set_qform(stored, 1 if form in ("both", "qform", "differ") else 0)
        moved = stored.copy()
        if form == "differ":
            moved[:3, 3] += np.array([10, -5, 3]) / scale
        image.set_sform(moved, {"both": 1, "sform": 2, "differ": 2}.get(form, 0))
        image.header.set_zooms(np.linalg.norm(stored[:3, :3], axis=0))
        image.header.set_xyzt_units(units)
        if slope is not None:
            image.header.set_slope_inter(*slope)
        path = folder / f"scan{suffix}"
        image.to_filename(path)
        if slope is not None:  # nibabel writes numbers scaled back; keep those stored, with their scaling
            image = image_class(array.T, stored, image.header)
            image.header.set_slope_inter(1, 0)
            image.to_filename(path)
            content = bytearray(path.read_bytes())
            content[112:120] = np.array(slope, dtype=f"{endian}f4").tobytes()
            path.write_bytes(content)
        return path

    if form == "differ":
        wanted[:3, 3] += (10, -5, 3)
    expected = array if slope is None else (array * np.float64(slope[0]) + slope[1]).astype(np.float32)
    return Sample(f"NIfTI {name}", write, expected, wanted, differs or {})


def by_itk(name: str, dtype: str, matrix: np.ndarray, suffix: str, compressed: bool) -> Sample:
    array = voxels(dtype)

    def write(folder: Path) -> Path:
        image = sitk.GetImageFromArray(array)
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin((LPS @ matrix)[:3, 3].tolist())
        image.SetDirection(((LPS @ matrix)[:3, :3] / spacing).ravel().tolist())
        sitk.WriteImage(image, str(folder / f"scan{suffix}"), useCompression=compressed)
        return folder / f"scan{suffix}"

    return Sample(f"{suffix} {name}", write, array, matrix)


def raw_nrrd(space: str, endian: str) -> Sample:
    array, matrix = voxels("i2"), MATRICES["oblique"]

    def write(folder: Path) -> Path:
        stored = matrix if space.startswith("right") else LPS @ matrix
        columns = " ".join("(" + ",".join(f"{value:.9g}" for value in column) + ")" for column in stored[:3, :3].T)
        header = (
            f"NRRD0004\ntype: short\ndimension: 3\nspace: {space}\nsizes: {SHAPE[2]} {SHAPE[1]} {SHAPE[0]}\n"
            f"space directions: {columns}\nspace origin: ({','.join(f'{v:.9g}' for v in stored[:3, 3])})\n"
            f"endian: {'big' if endian == '>' else 'little'}\nencoding: raw\n\n"
        )
        (folder / "scan.nrrd").write_bytes(header.encode() + array.astype(f"{endian}i2").tobytes())
        return folder / "scan.nrrd"

    return Sample(f"raw NRRD {space} {endian}", write, array, matrix)


def mgh(suffix: str, matrix: np.ndarray, name: str) -> Sample:
    array = voxels("f4")

    def write(folder: Path) -> Path:
        nib.MGHImage(array.T, matrix).to_filename(folder / f"scan{suffix}")
        return folder / f"scan{suffix}"

    return Sample(f"MGH {suffix} {name}", write, array, matrix, {"SimpleITK": "MGH is not known to ITK"})


def dicom(name: str, *, dtype: str = "i2", orientation: tuple = AXIAL, reverse: bool = False, slopes: bool = False,
          file: bool = False, nested: bool = False, differs: dict[str, str] | None = None,
          **options: object) -> Sample:  # fmt: skip
    array = voxels(dtype)
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    normal, origin = np.cross(row, column), np.array([-15.0, -25.0, 35.0])
    positions = [origin + 3.0 * n * normal for n in range(len(array))]
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = row * 1.5, column * 0.8, normal * 3, origin
    factors = [1.0, *(0.5 + 0.013 * n for n in range(1, len(array)))] if slopes else [1.0] * len(array)
    wanted = array
    if slopes:
        wanted = (array * np.array(factors)[:, None, None]).astype(np.float32)
    intercept = float(options.get("intercept", 0))  # type: ignore[arg-type]
    wanted = wanted + (np.int32(intercept) if not slopes else 0)

    def write(folder: Path) -> Path:
        order = list(range(len(array)))[:: -1 if reverse else 1]
        place = folder / "a" / "b" if nested else folder
        write_series(place, array[order], [positions[n] for n in order], (0.8, 1.5), orientation=orientation,
                     slopes=[factors[n] for n in order] if slopes else None, **options)  # type: ignore[arg-type]  # fmt: skip
        return place / "0003.dcm" if file else folder

    return Sample(f"DICOM {name}", write, wanted, LPS @ matrix, differs or {})


def enhanced(name: str, order: list[int], scaled: bool = False) -> Sample:
    array = voxels("u2")
    positions = [(-15.0, -25.0, 35.0 + 3 * n) for n in range(len(array))]
    scaling = [(1 + 0.25 * n, -10.0) for n in range(len(array))] if scaled else None
    matrix = np.array([[1.5, 0, 0, -15], [0, 0.8, 0, -25], [0, 0, 3, 35], [0, 0, 0, 1.0]])
    wanted = array if scaling is None else np.stack([a * s + i for a, (s, i) in zip(array, scaling, strict=True)])

    def write(folder: Path) -> Path:
        return write_enhanced(folder / "enhanced.dcm", array[order], [positions[n] for n in order], (0.8, 1.5),
                              [scaling[n] for n in order] if scaling else None)  # fmt: skip

    why = {}
    if order not in (sorted(order), sorted(order)[::-1]):
        why["SimpleITK"] = "ITK stacks the frames in the order of the file"
    elif scaled:
        why["SimpleITK"] = "ITK scales all frames alike"
    return Sample(f"DICOM enhanced {name}", write, wanted, LPS @ matrix, why)


def samples() -> Iterator[Sample]:
    """All of them; at least sixty."""
    straight = MATRICES["straight"]
    for dtype in ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"):
        for endian in "<>":
            yield nifti(
                f"{dtype} {endian}", dtype, straight, endian=endian, suffix=".nii" if dtype == "i2" else ".nii.gz"
            )
    for name, matrix in MATRICES.items():
        yield nifti(f"{name}", "i2", matrix)
        yield nifti(f"{name}, sform only", "f4", matrix, form="sform")
        yield nifti(f"{name}, qform only", "i2", matrix, form="qform")
        yield by_itk(name, "i2", matrix, ".nrrd", True)
        yield by_itk(name, "f4", matrix, ".mha", True)
        yield mgh(".mgz", matrix, name)
    yield mgh(".mgh", straight, "unpacked")
    apart = {"SimpleITK": "ITK takes the qform where the sform's code is not 1"}
    yield nifti("forms that differ", "i2", straight, form="differ", differs=apart)
    unplaced = {"nibabel": "nibabel puts the middle of the scan at 0, 0, 0"}
    yield nifti("neither form", "i2", straight, form="none", differs=unplaced)
    for units in ("micron", "meter"):
        yield nifti(
            f"in {units}s", "i2", MATRICES["oblique"], units=units, differs={"nibabel": "nibabel leaves the unit"}
        )
    for endian in "<>":
        yield nifti(f"scaled {endian}", "i2", straight, ".nii", endian, slope=(0.25, -7.0))
        yield nifti(f"pair {endian}", "i2", MATRICES["oblique"], ".img", endian, kind="pair")
        yield nifti(f"2 {endian}", "f4", MATRICES["oblique"], ".nii", endian, kind="2",
                    differs={"SimpleITK": "NIfTI-2 is not known to ITK"})  # fmt: skip
        for space in ("left-posterior-superior", "right-anterior-superior"):
            yield raw_nrrd(space, endian)
    shear = straight.copy()
    shear[0, 1] = 0.8 * 5e-4
    yield nifti("off square by rounding", "i2", shear, form="sform", differs={"SimpleITK": "ITK refuses axes"})
    for dtype in ("u1", "u2", "i4", "f8"):
        yield by_itk(dtype, dtype, straight, ".nrrd", False)
        yield by_itk(dtype, dtype, straight, ".mhd", False)
    yield dicom("signed")
    yield dicom("unsigned with intercept", dtype="u2", intercept=-1024)
    yield dicom("files in reverse order", reverse=True)
    yield dicom("sagittal", orientation=SAGITTAL)
    yield dicom("oblique", orientation=(0.8, 0.6, 0.0, -0.36, 0.48, 0.8))
    yield dicom("implicit", syntax="1.2.840.10008.1.2")
    yield dicom("run-length", syntax="1.2.840.10008.1.2.5")
    yield dicom("one file named", file=True)
    yield dicom("in folders below", nested=True, differs={"SimpleITK": "not looked for below"})
    yield dicom("without endings", names="IM{:06d}")
    yield dicom("slope by slice", sop=PT, slopes=True, differs={"SimpleITK": "ITK takes the type of the first slice"})
    yield dicom("8 bit", dtype="u1", sop=CT)
    everyone = list(range(SHAPE[0]))
    yield enhanced("in order", everyone)
    yield enhanced("interleaved", everyone[::3] + everyone[1::3] + everyone[2::3])
    yield enhanced("backwards", everyone[::-1])
    yield enhanced("slope by frame", everyone, scaled=True)
