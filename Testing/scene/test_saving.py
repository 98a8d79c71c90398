from __future__ import annotations

import shutil
from collections import namedtuple

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import OutputError


@pytest.fixture
def a_finished_case(a_volume_node, a_segmentation_node):
    """A scan, two overlapping segments and a point of each kind; returns the segments' masks by name."""
    from MemorizingSAM3DLib.scene.points.markups import createPromptNode, recordOrder
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    rng = np.random.default_rng(5)
    shape = a_volume_node.GetImageData().GetDimensions()[::-1]
    masks = {}
    for name, color in [("liver", (0.5, 0.25, 0.0)), ("tumour", (1.0, 0.0, 0.5))]:
        masks[name] = rng.random(shape) < 0.2
        segmentID = addSegment(a_segmentation_node, name, color)
        SegmentWriter(a_segmentation_node, segmentID, a_volume_node).write(masks[name])
    negative, positive = createPromptNode(False, "outside"), createPromptNode(True, "inside")
    negative.AddControlPoint(1.5, 2.5, 3.5)
    recordOrder(negative)
    positive.AddControlPoint(-4, 5, 6)
    recordOrder(positive)
    return masks


def test_a_scene_bundle_holds_scan_segments_and_points(a_scene, a_finished_case, tmp_path):
    import slicer

    from MemorizingSAM3DLib.engine.prompts import Click
    from MemorizingSAM3DLib.scene.points.markups import clicksFromNodes
    from MemorizingSAM3DLib.scene.saving import saveScene
    from MemorizingSAM3DLib.scene.scan import volumeFromNode
    from MemorizingSAM3DLib.scene.segments.segmentation import maskFromSegment
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    before = volumeFromNode(slicer.util.getNode("a scan"))
    voxels = before.array.copy()
    saved = saveScene(tmp_path / "case.mrb")
    a_scene.Clear(False)
    assert a_scene.GetFirstNodeByName("a scan") is None

    assert a_scene.ReadFromMRB(str(saved))

    scan, segmentation = slicer.util.getNode("a scan"), slicer.util.getNode("a segmentation")
    volume = volumeFromNode(scan)
    # Slicer's reader reverses the slices of a left-handed scan, such as this one: indices change and places do not.
    lastSlice = len(voxels) - 1
    np.testing.assert_allclose(
        volume.ijk_to_ras_points((3, 5, lastSlice)), before.ijk_to_ras_points((3, 5, 0)), atol=1e-5
    )
    np.testing.assert_array_equal(volume.array, voxels[::-1])
    for name, mask in a_finished_case.items():
        segmentID = segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
        np.testing.assert_array_equal(maskFromSegment(segmentation, segmentID, scan), mask[::-1])
        SegmentWriter(segmentation, segmentID, scan).write(~mask[::-1])
        np.testing.assert_array_equal(maskFromSegment(segmentation, segmentID, scan), ~mask[::-1])
    clicks = clicksFromNodes(slicer.util.getNode("inside"), slicer.util.getNode("outside"))
    assert clicks == [Click((1.5, 2.5, 3.5), False), Click((-4, 5, 6), True)]


def test_saving_leaves_the_scene_as_it_was_and_nothing_beside_the_file(a_scene, a_finished_case, tmp_path):
    from MemorizingSAM3DLib.scene.saving import saveScene, saveSegmentation

    nodes = a_scene.GetNumberOfNodesByClass("vtkMRMLDisplayableNode")
    url = a_scene.GetURL()
    saveScene(tmp_path / "case.mrb")
    saveSegmentation(a_scene.GetFirstNodeByName("a segmentation"), tmp_path / "case.seg.nrrd")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["case.mrb", "case.seg.nrrd"]
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLDisplayableNode") == nodes
    assert a_scene.GetURL() == url


def test_a_segmentation_file_opens_in_slicer_with_names_and_colours(
    a_scene, a_finished_case, a_volume_node, a_segmentation_node, tmp_path
):
    import slicer

    from MemorizingSAM3DLib.scene.saving import saveSegmentation
    from MemorizingSAM3DLib.scene.segments.segmentation import maskFromSegment

    path = saveSegmentation(a_segmentation_node, tmp_path / "case.seg.nrrd")
    loaded = slicer.modules.segmentations.logic().LoadSegmentationFromFile(str(path), False)

    segmentation = loaded.GetSegmentation()
    for name, mask in a_finished_case.items():
        segmentID = segmentation.GetSegmentIdBySegmentName(name)
        np.testing.assert_array_equal(maskFromSegment(loaded, segmentID, a_volume_node), mask)
    tumour = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName("tumour"))
    np.testing.assert_allclose(tumour.GetColor(), (1.0, 0.0, 0.5), atol=0.01)


def test_a_segmentation_file_covers_the_whole_scan(a_volume_node, a_segmentation_node, tmp_path):
    from MemorizingSAM3DLib.scene.saving import saveSegmentation
    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    mask = np.zeros(a_volume_node.GetImageData().GetDimensions()[::-1], dtype=bool)
    mask[3, 4, 5] = True
    SegmentWriter(a_segmentation_node, addSegment(a_segmentation_node, "dot"), a_volume_node).write(mask)

    image = sitk.ReadImage(str(saveSegmentation(a_segmentation_node, tmp_path / "dot.seg.nrrd")))

    assert image.GetSize() == a_volume_node.GetImageData().GetDimensions()


def test_a_missing_folder_a_folder_as_name_and_a_wrong_suffix_are_refused(a_segmentation_node, tmp_path):
    from MemorizingSAM3DLib.scene.saving import saveScene, saveSegmentation

    (tmp_path / "taken.seg.nrrd").mkdir()
    for path, message in [
        (tmp_path / "none" / "case.seg.nrrd", "does not exist"),
        (tmp_path / "taken.seg.nrrd", "is a folder"),
        (tmp_path / "case.stl", "seg.nrrd"),
    ]:
        with pytest.raises(OutputError, match=message):
            saveSegmentation(a_segmentation_node, path)
    with pytest.raises(OutputError, match="mrb"):
        saveScene(tmp_path / "case.zip")


def test_a_folder_that_cannot_be_written_is_refused(a_segmentation_node, tmp_path):
    from MemorizingSAM3DLib.scene.saving import saveSegmentation

    tmp_path.chmod(0o555)
    try:
        folder = tmp_path
        try:
            (folder / "probe").touch()
            folder = __import__("pathlib").Path("/proc/self")  # root writes everywhere but here
            if not folder.is_dir():
                pytest.skip("runs with rights that no folder withstands")
        except PermissionError:
            pass
        with pytest.raises(OutputError, match="can be written") as error:
            saveSegmentation(a_segmentation_node, folder / "case.seg.nrrd")
        assert "another folder" in error.value.remedy
    finally:
        tmp_path.chmod(0o755)


def test_a_full_disk_is_noticed_before_writing(a_finished_case, tmp_path, monkeypatch):
    from MemorizingSAM3DLib.scene.saving import saveScene

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 10, 0))

    with pytest.raises(OutputError, match="MB left"):
        saveScene(tmp_path / "case.mrb")
    assert not list(tmp_path.iterdir())


def test_a_failed_save_keeps_the_file_that_was_there(a_scene, a_segmentation_node, tmp_path):
    from MemorizingSAM3DLib.scene.saving import saveSegmentation

    path = tmp_path / "case.seg.nrrd"
    path.write_text("the result of yesterday")
    a_scene.RemoveNode(a_segmentation_node)

    with pytest.raises(OutputError, match="no longer in the scene"):
        saveSegmentation(a_segmentation_node, path)
    assert path.read_text() == "the result of yesterday"
