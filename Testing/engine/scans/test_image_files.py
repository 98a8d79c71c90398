"""Reading scans from files and folders: right places, and messages that say what to do."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import Volume


@pytest.fixture
def a_volume() -> Volume:
    array = np.random.default_rng(0).integers(-1000, 1000, (6, 8, 10)).astype(np.int16)
    matrix = np.array([[0, -0.8, 0, 12.0], [0.6, 0, 0, -40.0], [0, 0, 2.5, 7.0], [0, 0, 0, 1]])
    return Volume(array, matrix)


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii", "scan.nii.gz", "scan.mha"])
def test_a_written_scan_is_read_back_in_its_place(a_volume, tmp_path, name) -> None:
    sitk.WriteImage(a_volume.to_sitk(), str(tmp_path / name))
    back = Volume.from_file(tmp_path / name, "CT")
    assert np.array_equal(back.array, a_volume.array)
    assert np.abs(back.ijk_to_ras - a_volume.ijk_to_ras).max() < 1e-5
    assert back.modality == "CT"


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(VolumeError, match=r"nowhere\.nrrd does not exist.*Check the path"):
        Volume.from_file(str(tmp_path / "nowhere.nrrd"))


def test_a_file_that_is_no_image_is_refused(tmp_path) -> None:
    path = tmp_path / "notes.nrrd"
    path.write_text("not an image")
    with pytest.raises(VolumeError, match=r"notes\.nrrd cannot be read.*Copy or download it again"):
        Volume.from_file(path)


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.nii", "scan.nii.gz"])
def test_a_file_cut_short_is_refused(a_volume, tmp_path, name) -> None:
    path = tmp_path / name
    sitk.WriteImage(a_volume.to_sitk(), str(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(VolumeError, match="cannot be read"):
        Volume.from_file(path)


def test_a_nifti_of_two_gzip_members_is_whole(a_volume, tmp_path) -> None:
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(a_volume.to_sitk(), str(path))
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:700]) + gzip.compress(content[700:]))
    assert np.array_equal(Volume.from_file(path).array, a_volume.array)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (sitk.Image([16, 16], sitk.sitkInt16), "2D image"),
        (sitk.Image([8, 8, 8, 5], sitk.sitkInt16), "4D, with 5 time points"),
        (sitk.Image([8, 8, 8], sitk.sitkVectorUInt8, 3), "3 components per voxel.*Vector to Scalar"),
        (sitk.Image([8, 8, 3], sitk.sitkInt16), "only 3 voxels thick"),
        (sitk.Image([8, 8, 8], sitk.sitkInt16), "constant"),
    ],
)
def test_an_image_that_is_no_scan_is_refused(image, message, tmp_path) -> None:
    sitk.WriteImage(image, str(tmp_path / "scan.nrrd"))
    with pytest.raises(VolumeError, match=message):
        Volume.from_file(tmp_path / "scan.nrrd")


def test_a_4d_image_of_one_time_point_is_a_scan(a_volume) -> None:
    volume = Volume.from_sitk(sitk.JoinSeries([a_volume.to_sitk()]))
    assert np.array_equal(volume.array, a_volume.array)
    assert np.allclose(volume.ijk_to_ras, a_volume.ijk_to_ras)


def test_a_sheared_nifti_is_told_from_a_broken_one(a_volume, tmp_path) -> None:
    path = tmp_path / "scan.nii.gz"
    sitk.WriteImage(a_volume.to_sitk(), str(path))
    header = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<hh", header, 252, 0, 2)  # qform_code, sform_code
    struct.pack_into("<12f", header, 280, 1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)  # srow_x, srow_y, srow_z
    path.write_bytes(gzip.compress(bytes(header)))
    with pytest.raises(VolumeError, match=r"sheared.*resample_to_output"):
        Volume.from_file(path)


def write_series(folder: Path, series: str, heights: list[float], shift_per_slice: float = 0.0) -> None:
    """CT slices at the given heights, each `shift_per_slice` mm further along L (a tilted gantry)."""
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number, height in enumerate(heights):
        image = sitk.GetImageFromArray(np.arange(64, dtype=np.int16).reshape(8, 8) + number)
        image = sitk.JoinSeries([image])
        position = f"{5 + number * shift_per_slice}\\-3\\{height}"
        tags = {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.{series}.{number + 1}",
            "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
            "0020|000e": f"1.2.826.0.1.3680043.2.1125.{series}",
            "0020|0013": str(number),
            "0020|0032": position,
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{series}-{number:03d}.dcm"))
        writer.Execute(image)


def test_a_dicom_folder_is_read_with_its_modality(tmp_path) -> None:
    write_series(tmp_path, "1", [10, 12.5, 15, 17.5, 20])
    volume = Volume.from_file(tmp_path)
    assert volume.shape == (5, 8, 8)
    assert volume.modality == "CT"
    assert volume.ijk_to_ras_points((0, 0, 2)) == pytest.approx((-5, 3, 15))


@pytest.mark.parametrize(
    ("heights", "shift", "words"),
    [
        ([10, 12.5, 15, 20, 22.5, 25], 0.0, "1 slices of .* are missing.*Fetch the whole series"),
        ([10, 12.5, 15, 16, 18.5, 21], 0.0, "unevenly spaced, from 1.00 to 2.50 mm.*harden regularization"),
        ([10, 12.5, 15, 17.5, 20, 22.5], 1.0, "the gantry stood 21.8 degrees off.*harden regularization"),
        ([10, 12.5, 15, 15, 17.5, 20], 0.0, "6 slices at 5 places.*Take copies out"),
    ],
)
def test_a_series_with_a_gap_a_tilt_or_a_slice_twice_is_refused_in_its_own_words(tmp_path, heights, shift, words):
    write_series(tmp_path, "1", heights, shift)
    with pytest.raises(VolumeError, match=words):
        Volume.from_file(tmp_path)


def test_a_folder_of_two_series_or_none_is_refused(tmp_path) -> None:
    with pytest.raises(VolumeError, match="holds no DICOM series"):
        Volume.from_file(tmp_path)
    write_series(tmp_path, "1", [0, 1, 2, 3])
    write_series(tmp_path, "2", [0, 1, 2, 3])
    with pytest.raises(VolumeError, match="holds 2 DICOM series"):
        Volume.from_file(tmp_path)


def test_geometry_that_a_header_leaves_unsaid_is_told(tmp_path) -> None:
    voxels = np.random.default_rng(0).integers(0, 99, (6, 7, 8)).astype("<i2").tobytes()
    nrrd = "NRRD0004\ntype: short\ndimension: 3\nsizes: 8 7 6\nendian: little\nencoding: raw\n"
    meta = "ObjectType = Image\nNDims = 3\nDimSize = 8 7 6\nElementType = MET_SHORT\n"
    for name, header, words in (
        ("a.nrrd", nrrd + "\n", "does not say the size"),
        ("b.nrrd", nrrd + "spacings: 1 2 3\n\n", "does not say where"),
        ("a.mha", meta + "ElementDataFile = LOCAL\n", "does not say the size"),
        ("b.mha", meta + "ElementSpacing = 1 2 3\nElementDataFile = LOCAL\n", "does not say where"),
    ):
        (tmp_path / name).write_bytes(header.encode() + voxels)
        assert words in " ".join(Volume.from_file(tmp_path / name).notes)
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 99, (6, 7, 8)).astype(np.int16))
    for name in ("c.nrrd", "c.mha", "c.mhd"):
        sitk.WriteImage(image, str(tmp_path / name))
        assert Volume.from_file(tmp_path / name).notes == ()
