"""DICOM segmentations refer to their images, and other programs read them back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.geometry.grids import transformed
from MemorizingSAM3DLib.engine.scans.dicom_seg import codes_of
from MemorizingSAM3DLib.engine.scans.image_files import ijk_to_ras_of
from MemorizingSAM3DLib.engine.scans.mask_files import write_mask
from Testing.engine.dicom_writing import SAGITTAL, write_enhanced, write_series

highdicom = pytest.importorskip("highdicom")
import pydicom  # noqa: E402

SHAPE = (8, 10, 12)
FRAMES = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.uint16)
POSITIONS = [(-20.0, -30.0, 5.0 + 3 * n) for n in range(8)]
MASK = np.zeros(SHAPE, bool)
MASK[2:5, 3:7, 4:11] = True


def read_back(path: Path) -> tuple[np.ndarray, pydicom.Dataset]:
    """The mask at the places (LPS) of its frames, by highdicom's own reader."""
    result = highdicom.seg.segread(path)
    return result.get_volume(combine_segments=True).array, result


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), SAGITTAL])
@pytest.mark.parametrize("turned", [False, True])
def test_a_segmentation_of_a_series_is_read_back_by_highdicom(tmp_path, orientation, turned):
    normal = np.cross(orientation[:3], orientation[3:])
    positions = [np.array([-20.0, -30, 5]) + 3 * n * normal for n in range(8)]
    step = -1 if turned else 1
    write_series(tmp_path / "scan", FRAMES[::step], positions[::step], orientation=orientation)
    volume = Volume.from_file(tmp_path / "scan")
    write_mask(MASK, volume, tmp_path / "liver.dcm", "Left kidney")

    result = highdicom.seg.segread(tmp_path / "liver.dcm")
    back = result.get_volume(combine_segments=True)
    places = np.argwhere(back.array > 0) @ back.affine[:3, :3].T + back.affine[:3, 3]
    ours = volume.ijk_to_ras_points(np.argwhere(MASK)[:, ::-1]) * (-1, -1, 1)
    np.testing.assert_allclose(np.unique(places.round(2), axis=0), np.unique(ours.round(2), axis=0), atol=0.02)
    sources = {pydicom.dcmread(file).SOPInstanceUID for file in (tmp_path / "scan").iterdir()}
    assert {uid for _, _, uid in result.get_source_image_uids()} <= sources
    segment = result.SegmentSequence[0]
    assert segment.SegmentLabel == "Left kidney"
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("64033007", "SCT")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    colour = highdicom.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue).to_rgb()
    assert np.abs(np.array(colour) - (128, 174, 128)).max() <= 2


def test_a_segmentation_of_a_multiframe_file_refers_to_its_frames(tmp_path):
    order = [0, 3, 6, 1, 4, 7, 2, 5]
    write_enhanced(tmp_path / "scan.dcm", FRAMES[order], [POSITIONS[n] for n in order])
    volume = Volume.from_file(tmp_path / "scan.dcm")
    write_mask(MASK, volume, tmp_path / "seg.dcm", "thing")
    result = highdicom.seg.segread(tmp_path / "seg.dcm")
    back = result.get_volume(combine_segments=True)
    assert int((back.array > 0).sum()) == int(MASK.sum())
    places = np.argwhere(back.array > 0) @ back.affine[:3, :3].T + back.affine[:3, 3]
    ours = volume.ijk_to_ras_points(np.argwhere(MASK)[:, ::-1]) * (-1, -1, 1)
    np.testing.assert_allclose(places.mean(0), ours.mean(0), atol=1e-3)


def test_dcmqi_reads_it_back(tmp_path):
    program = shutil.which("segimage2itkimage", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("needs dcmqi: pip install dcmqi")
    write_series(tmp_path / "scan", FRAMES, POSITIONS)
    volume = Volume.from_file(tmp_path / "scan")
    write_mask(MASK, volume, tmp_path / "seg.dcm", "liver")
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        [program, "--inputDICOM", tmp_path / "seg.dcm", "--outputDirectory", tmp_path / "out", "--outputType", "nrrd"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    image = sitk.ReadImage(str(next((tmp_path / "out").glob("*.nrrd"))))
    array, matrix = sitk.GetArrayFromImage(image), ijk_to_ras_of(image)
    ours = volume.ijk_to_ras_points(np.argwhere(MASK)[:, ::-1])
    theirs = transformed(matrix, np.argwhere(array > 0)[:, ::-1])
    np.testing.assert_allclose(np.sort(theirs, axis=0), np.sort(ours, axis=0), atol=1e-2)
    about = json.loads(next((tmp_path / "out").glob("*.json")).read_text())["segmentAttributes"][0][0]
    assert about["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == "10200004"
    assert np.abs(np.array(about["recommendedDisplayRGBValue"]) - (128, 174, 128)).max() <= 2


def test_an_empty_mask_is_written_too(tmp_path):
    write_series(tmp_path / "scan", FRAMES, POSITIONS)
    write_mask(np.zeros(SHAPE, bool), Volume.from_file(tmp_path / "scan"), tmp_path / "seg.dcm")
    assert not read_back(tmp_path / "seg.dcm")[0].any()


def test_a_scan_that_is_no_dicom_cannot_be_referred_to(tmp_path):
    with pytest.raises(OutputError, match=r"refers to DICOM images.*Write \.seg\.nrrd"):
        write_mask(MASK, Volume(FRAMES, np.eye(4)), tmp_path / "seg.dcm")


@pytest.mark.parametrize(
    ("name", "value"),
    [("liver", "10200004"), ("Left kidney", "64033007"), ("Kidneys", "64033007"), ("spleen", "78961009"),
     ("liver tumour", "52988006"), ("Segment_1", "85756007"), ("Leber", "85756007")],
)  # fmt: skip
def test_names_get_their_codes(name, value):
    assert codes_of(name)[1].value == value
