from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.scans.mask_files import check_mask_file, write_mask


@pytest.fixture
def a_small_volume(an_oblique_matrix):
    return Volume(np.arange(16 * 14 * 12, dtype=np.int16).reshape(16, 14, 12), an_oblique_matrix)


@pytest.fixture
def a_mask(a_small_volume):
    mask = np.zeros(a_small_volume.shape, dtype=bool)
    mask[3:9, 2:5, 7:10] = True
    return mask


@pytest.mark.parametrize("name", ["mask.seg.nrrd", "seg.nrrd", "mask.nii.gz", "mask.nii", "mask.mha"])
def test_a_written_mask_is_where_the_scan_is(tmp_path, a_small_volume, a_mask, name):
    write_mask(a_mask, a_small_volume, tmp_path / name)

    image = sitk.ReadImage(str(tmp_path / name))
    assert (sitk.GetArrayFromImage(image).astype(bool) == a_mask).all()
    assert np.allclose(Volume.from_sitk(image).ijk_to_ras, a_small_volume.ijk_to_ras, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_slicer_opens_a_seg_nrrd_as_a_segmentation_with_the_segments_name(a_scene, tmp_path, a_small_volume, a_mask):
    import slicer

    write_mask(a_mask, a_small_volume, tmp_path / "a.seg.nrrd", name="Liver")

    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = a_scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "a.seg.nrrd"))
    assert storage.ReadData(node)
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 1
    assert segmentation.GetNthSegment(0).GetName() == "Liver"
    voxels = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segmentation.GetNthSegmentID(0), voxels)
    from vtkmodules.util.numpy_support import vtk_to_numpy

    assert int((vtk_to_numpy(voxels.GetPointData().GetScalars()) > 0).sum()) == int(a_mask.sum())


def test_an_unknown_suffix_is_refused_with_the_known_ones_named(tmp_path):
    with pytest.raises(OutputError, match=r"\.nrrd, \.nii\.gz"):
        check_mask_file(tmp_path / "mask.png")


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        check_mask_file(tmp_path / "missing" / "mask.nrrd")


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # root may write anywhere, so the system's answer is played
    with pytest.raises(OutputError, match="Permission denied.*Choose another folder"):
        check_mask_file(tmp_path / "mask.nrrd")


def test_a_write_that_fails_leaves_the_file_that_was_there(tmp_path, monkeypatch, a_small_volume, a_mask):
    path = tmp_path / "mask.nii.gz"
    write_mask(a_mask, a_small_volume, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="free space"):
        write_mask(~a_mask, a_small_volume, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
