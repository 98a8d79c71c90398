from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import ClickError, OutputError
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.scene.headless.demonstration import OUTPUT_FILES, ClickedSegment, Demonstration, nextCorrection
from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation, maskFromSegment
from Testing.engine.click_networks import BrightnessNetwork


@pytest.fixture
def a_ct_node(a_scene, an_oblique_matrix):
    """Two bright blocks in air, on an oblique grid."""
    import slicer

    voxels = np.full((30, 32, 34), -900, np.int16)
    voxels[5:14, 6:16, 7:18] = 300
    voxels[20:26, 20:28, 22:30] = 300
    return slicer.util.addVolumeFromArray(voxels, an_oblique_matrix, "a ct")


@pytest.fixture
def a_clicked_segment(a_ct_node):
    return ClickedSegment(a_ct_node, Predictor(BrightnessNetwork(reach=0.25)), name="Block")


def rasOf(node: ClickedSegment, k: float, j: float, i: float):
    return node.session.volume.ijk_to_ras_points((i, j, k))


def written(segment: ClickedSegment) -> np.ndarray:
    return maskFromSegment(segment.segmentationNode, segment.segmentID, segment.volumeNode)


def test_a_placed_point_becomes_a_segment_in_the_scene(a_clicked_segment):
    a_clicked_segment.place(rasOf(a_clicked_segment, 9, 11, 12))

    mask = written(a_clicked_segment)
    assert (mask == a_clicked_segment.session.mask).all()
    assert mask[9, 11, 12]
    assert not mask[23, 24, 26]
    assert a_clicked_segment.milliseconds > 0


def test_a_negative_point_takes_away(a_clicked_segment):
    a_clicked_segment.place(rasOf(a_clicked_segment, 9, 11, 12))
    before = written(a_clicked_segment).sum()

    a_clicked_segment.place(rasOf(a_clicked_segment, 12, 14, 16), positive=False)

    assert written(a_clicked_segment).sum() < before
    assert not written(a_clicked_segment)[12, 14, 16]


def test_a_dragged_point_moves_the_segment_with_it(a_clicked_segment):
    a_clicked_segment.place(rasOf(a_clicked_segment, 9, 11, 12))

    a_clicked_segment.positiveNode.SetNthControlPointPositionWorld(0, *rasOf(a_clicked_segment, 23, 24, 26))
    a_clicked_segment.update()

    assert written(a_clicked_segment)[23, 24, 26]
    assert not written(a_clicked_segment)[9, 11, 12]


def test_the_last_point_deleted_empties_the_segment(a_clicked_segment):
    a_clicked_segment.place(rasOf(a_clicked_segment, 9, 11, 12))

    a_clicked_segment.positiveNode.RemoveNthControlPoint(0)
    a_clicked_segment.update()

    assert not written(a_clicked_segment).any()


def test_a_point_outside_is_taken_away_again_and_nothing_is_lost(a_clicked_segment):
    a_clicked_segment.place(rasOf(a_clicked_segment, 9, 11, 12))
    before = written(a_clicked_segment)

    with pytest.raises(ClickError, match="outside the scan"):
        a_clicked_segment.place((1000.0, 0.0, 0.0))

    assert a_clicked_segment.positiveNode.GetNumberOfControlPoints() == 1
    assert (written(a_clicked_segment) == before).all()


def test_a_neighbouring_segment_survives(a_ct_node):
    import slicer

    segmentation = createSegmentation(a_ct_node, "two")
    neighbour = addSegment(segmentation, "neighbour")
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        np.ones((30, 32, 34), np.uint8), segmentation, neighbour, a_ct_node
    )
    segment = ClickedSegment(a_ct_node, Predictor(BrightnessNetwork(reach=0.25)), segmentation)

    segment.place(rasOf(segment, 9, 11, 12))

    assert written(segment)[9, 11, 12]
    assert maskFromSegment(segmentation, neighbour, a_ct_node).all()


def test_the_scan_under_a_transform_is_segmented_where_it_is_seen(a_ct_node, a_linear_transform_node):
    a_ct_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    segment = ClickedSegment(a_ct_node, Predictor(BrightnessNetwork(reach=0.25)))

    segment.place(rasOf(segment, 9, 11, 12))  # the engine's volume is in world coordinates

    assert written(segment)[9, 11, 12]


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
