from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.predictor import Predictor
from MemorizingSAM3DLib.scene.demonstration import OUTPUT_FILES, Demonstration, nextCorrection
from Testing.engine.click_networks import BrightnessNetwork


@pytest.fixture
def a_scan_file(tmp_path):
    """A bright block in air; the truth is the block."""
    voxels = np.full((40, 44, 48), -900, np.int16)
    voxels[10:28, 12:30, 14:36] = 300
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((1.5, 1.5, 2.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    return tmp_path / "scan.nii.gz"


@pytest.fixture
def a_demonstration(a_scene, a_scan_file, tmp_path):
    return Demonstration(a_scan_file, tmp_path, Predictor(BrightnessNetwork(reach=0.2)), "brightness")


def test_corrections_go_where_a_user_would_click_and_raise_the_dice(a_demonstration):
    truth = a_demonstration.volume.array > 0
    lines = []

    a_demonstration.correct(truth, 3, lines.append)

    assert lines[0].positive
    assert lines[0].dice > 0.5
    assert lines[-1].dice >= lines[0].dice
    assert all(line.milliseconds > 0 for line in lines)


def test_everything_promised_is_written(a_demonstration, tmp_path):
    pytest.importorskip("trame_slicer", reason="needs trame-slicer: pip install memorizing-sam3d[scene]")
    a_demonstration.place(a_demonstration.volume.ijk_to_ras_points((25, 20, 20)), True)

    files = a_demonstration.write()

    assert [file.name for file in files] == list(OUTPUT_FILES)
    assert all(file.stat().st_size > 0 for file in files)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["clicks"][0]["millilitres"] > 0
    assert report["clicks"][0]["dice"] is None
    segmentation = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "segmentation.seg.nrrd")))
    assert segmentation.sum() == a_demonstration.segment.session.mask.sum()


def test_a_folder_that_does_not_exist_is_said_before_any_work(a_scene, a_scan_file, tmp_path):
    network = BrightnessNetwork()
    with pytest.raises(OutputError, match="does not exist"):
        Demonstration(a_scan_file, tmp_path / "missing", Predictor(network), "brightness")
    assert network.encodes == 0


def test_no_correction_is_needed_where_nothing_is_wrong():
    volume = Volume(np.arange(125, dtype=np.int16).reshape(5, 5, 5), np.eye(4))
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True
    assert nextCorrection(mask, mask, volume) is None
    click = nextCorrection(np.zeros_like(mask), mask, volume)
    assert click is not None
    assert click.positive
    assert click.ras == (2.0, 2.0, 2.0)
