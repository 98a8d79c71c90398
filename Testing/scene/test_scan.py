from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.scene.scan import ScanFrame, gridOf, localToWorld
from Testing.scene.others import addWarp

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
places = st.tuples(*[st.floats(-50, 50)] * 3)


@quick
@given(ras=places)
def test_without_a_transform_the_scans_ras_is_the_worlds(a_volume_node, ras):
    frame = ScanFrame(a_volume_node)

    assert frame.toWorld(ras) == ras
    assert frame.toScan(ras) == ras


@quick
@given(ras=places)
def test_below_a_linear_transform_a_point_goes_where_its_matrix_says(a_volume_node, a_linear_transform_node, ras):
    a_volume_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    frame = ScanFrame(a_volume_node)

    assert np.allclose(frame.toWorld(ras), (localToWorld(a_volume_node) @ (*ras, 1.0))[:3])
    assert np.allclose(frame.toScan(frame.toWorld(ras)), ras)


@quick
@given(ras=places)
def test_below_nested_transforms_of_which_one_is_a_warp_the_way_there_and_back_ends_where_it_began(
    a_volume_node, a_linear_transform_node, ras
):
    warp = a_volume_node.GetScene().GetFirstNodeByName("a warp") or addWarp()
    a_linear_transform_node.SetAndObserveTransformNodeID(warp.GetID())
    a_volume_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    frame = ScanFrame(a_volume_node)

    assert np.allclose(frame.toScan(frame.toWorld(ras)), ras, atol=0.02)


def test_a_warp_does_move_points(a_volume_node):
    a_volume_node.SetAndObserveTransformNodeID(addWarp().GetID())

    assert not np.allclose(ScanFrame(a_volume_node).toWorld((10.0, 5.0, 0.0)), (10.0, 5.0, 0.0), atol=0.1)


def test_a_transform_that_changes_is_followed(a_volume_node, a_linear_transform_node):
    import slicer

    a_volume_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    frame = ScanFrame(a_volume_node)
    slicer.util.updateTransformMatrixFromArray(a_linear_transform_node, np.diag([2.0, 2.0, 2.0, 1.0]))

    assert frame.toWorld((1.0, 2.0, 3.0)) == (2.0, 4.0, 6.0)


index = st.one_of(st.floats(-3, 20), st.sampled_from([-0.5, 11.5, 13.5, 15.5, -0.5 - 1e-9, -0.51, 11.51]))


@quick
@given(ijk=st.tuples(index, index, index))
def test_a_point_is_in_the_scan_for_us_exactly_when_it_is_for_the_engine(a_volume_node, an_oblique_matrix, ijk):
    volume = Volume(np.arange(16 * 14 * 12).reshape(16, 14, 12), an_oblique_matrix)
    r, a, s = (an_oblique_matrix @ (*ijk, 1.0))[:3].tolist()

    assert ScanFrame(a_volume_node).contains((r, a, s)) == volume.contains((r, a, s))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_has_no_place_is_not_in_the_scan(a_volume_node, value):
    assert not ScanFrame(a_volume_node).contains((0.0, value, 0.0))


def test_a_scans_grid_is_its_matrix_whatever_is_above_it(a_volume_node, an_oblique_matrix, a_linear_transform_node):
    a_volume_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())

    assert np.allclose(np.reshape(gridOf(a_volume_node), (3, 4)), an_oblique_matrix[:3])


def worldOfVoxel(volumeNode, ijk):
    """World RAS of a voxel by Slicer's own transforms, as the mouse cursor in a slice view has it."""
    import slicer
    from vtkmodules.vtkCommonMath import vtkMatrix4x4
    from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

    matrix = vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    ras = matrix.MultiplyPoint((*ijk, 1.0))[:3]
    toWorld = vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(volumeNode.GetParentTransformNode(), None, toWorld)
    return toWorld.TransformPoint(ras)


def volumeFromNode(node):
    from MemorizingSAM3DLib.scene.scan import volumeFromNode

    return volumeFromNode(node)


def test_a_volume_node_becomes_a_volume_without_copying_its_voxels(a_volume_node, an_oblique_matrix):
    import slicer

    volume = volumeFromNode(a_volume_node)

    assert np.shares_memory(volume.array, slicer.util.arrayFromVolume(a_volume_node))
    np.testing.assert_allclose(volume.ijk_to_ras, an_oblique_matrix, atol=1e-9)


@pytest.mark.parametrize("hardened", [False, True])
def test_a_linear_transform_moves_the_volume_whether_hardened_or_not(a_volume_node, a_linear_transform_node, hardened):
    a_volume_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    expected = worldOfVoxel(a_volume_node, (3, 5, 7))
    if hardened:
        assert a_volume_node.HardenTransform()

    volume = volumeFromNode(a_volume_node)

    np.testing.assert_allclose(volume.ijk_to_ras_points((3, 5, 7)), expected, atol=1e-6)


def test_nested_transforms_are_all_applied(a_scene, a_volume_node, a_linear_transform_node):
    import slicer

    outer = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "outer")
    slicer.util.updateTransformMatrixFromArray(
        outer, np.array([[0, -1, 0, 9], [1, 0, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]])
    )
    a_linear_transform_node.SetAndObserveTransformNodeID(outer.GetID())
    a_volume_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())

    volume = volumeFromNode(a_volume_node)

    np.testing.assert_allclose(volume.ijk_to_ras_points((11, 0, 2)), worldOfVoxel(a_volume_node, (11, 0, 2)), atol=1e-9)


def test_a_non_linear_transform_is_refused_with_what_to_do(a_scene, a_volume_node):
    from slicer import vtkOrientedGridTransform
    from vtkmodules.vtkCommonDataModel import vtkImageData

    displacements = vtkImageData()
    displacements.SetDimensions(2, 2, 2)
    displacements.AllocateScalars(11, 3)
    grid = vtkOrientedGridTransform()
    grid.SetDisplacementGridData(displacements)
    node = a_scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "breathing")
    node.SetAndObserveTransformToParent(grid)
    a_volume_node.SetAndObserveTransformNodeID(node.GetID())

    with pytest.raises(VolumeError, match="breathing") as error:
        volumeFromNode(a_volume_node)
    assert "Harden" in error.value.remedy and "esample" in error.value.remedy


def test_a_shearing_transform_is_refused(a_scene, a_volume_node):
    import slicer

    node = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "gantry tilt")
    slicer.util.updateTransformMatrixFromArray(
        node, np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    )
    a_volume_node.SetAndObserveTransformNodeID(node.GetID())

    with pytest.raises(VolumeError):
        volumeFromNode(a_volume_node)


def test_no_node_is_refused():
    with pytest.raises(VolumeError, match="No scan"):
        volumeFromNode(None)


def test_a_deleted_node_is_refused(a_scene, a_volume_node):
    a_scene.RemoveNode(a_volume_node)

    with pytest.raises(VolumeError, match="no longer in the scene"):
        volumeFromNode(a_volume_node)


@pytest.mark.parametrize(
    ("className", "message"),
    [
        ("vtkMRMLScalarVolumeNode", "no voxels"),
        ("vtkMRMLVectorVolumeNode", "several values"),
        ("vtkMRMLLabelMapVolumeNode", "labelmap"),
        ("vtkMRMLSequenceNode", "sequence"),
        ("vtkMRMLModelNode", "not a volume"),
    ],
)
def test_a_node_that_is_not_a_scan_is_refused_by_what_it_is(a_scene, className, message):
    import slicer

    if className == "vtkMRMLSequenceNode" and not a_scene.GetClassNameByTag("Sequence"):
        a_scene.RegisterNodeClass(slicer.vtkMRMLSequenceNode())
    with pytest.raises(VolumeError, match=message):
        volumeFromNode(a_scene.AddNewNodeByClass(className))


def test_a_colour_volume_is_refused(a_scene):
    import slicer

    node = slicer.util.addVolumeFromArray(np.zeros((5, 5, 5, 3), np.uint8), nodeClassName="vtkMRMLVectorVolumeNode")

    with pytest.raises(VolumeError, match="several values") as error:
        volumeFromNode(node)
    assert "Vector to Scalar" in error.value.remedy


def test_the_modality_is_that_of_the_node_then_that_of_its_dicom_series(a_scene, a_volume_node):
    import slicer

    from MemorizingSAM3DLib.scene.scan import modalityOf

    assert modalityOf(a_volume_node) is None
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_volume_node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "PT")
    assert modalityOf(a_volume_node) == "PT"
    a_volume_node.SetAttribute("DICOM.Modality", "MR")
    assert modalityOf(a_volume_node) == "MR"


def someCt(rng):
    ct = rng.normal(40, 30, (20, 20, 20)).round()
    ct[:, :6] = -1000
    return ct.astype(np.int16)


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        ("a CT", someCt, "CT"),
        ("a CT stored as float", lambda rng: someCt(rng).astype(np.float32), "CT"),
        ("a CT resampled to floats", lambda rng: someCt(rng) + rng.uniform(0, 0.5, (20, 20, 20)), "CT"),
        ("an MR", lambda rng: rng.integers(0, 900, (20, 20, 20), dtype=np.int16), None),
        ("an MR as z-scores", lambda rng: rng.normal(size=(20, 20, 20)), None),
        ("an MR phase image", lambda rng: rng.integers(-4096, 4095, (20, 20, 20), dtype=np.int16), None),
        ("a CT cropped to soft tissue", lambda rng: someCt(rng)[:, 6:], None),
        ("an unsigned image", lambda rng: rng.integers(0, 255, (20, 20, 20), dtype=np.uint8), None),
    ],
)
def test_only_sure_hounsfield_units_are_taken_for_a_ct(name, make, expected):
    from MemorizingSAM3DLib.engine.scans.modality import guess_modality

    array = make(np.random.default_rng(3))

    assert guess_modality(array) == expected, name


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_a_file_is_loaded_by_slicer_where_it_belongs(a_scene, tmp_path, suffix, an_oblique_matrix):
    from MemorizingSAM3DLib.engine.geometry import Volume
    from MemorizingSAM3DLib.scene.scan import volumeNodeFromFile

    voxels = np.random.default_rng(0).integers(0, 500, (7, 6, 5)).astype(np.int16)
    written = Volume(voxels, an_oblique_matrix)
    sitk.WriteImage(written.to_sitk(), str(tmp_path / f"a scan{suffix}"))

    node = volumeNodeFromFile(tmp_path / f"a scan{suffix}")
    volume = volumeFromNode(node)

    assert node.GetName() == "a scan"
    assert node.GetDisplayNode().GetColorNode().GetName() == "Grey"
    # Slicer reverses the slices of a left-handed scan, so that indices differ and places do not.
    ijk = np.round(volume.ras_to_ijk(written.ijk_to_ras_points(np.argwhere(voxels >= 0)[:, ::-1]))).astype(int)
    np.testing.assert_array_equal(volume.array[ijk[:, 2], ijk[:, 1], ijk[:, 0]], voxels.ravel())


def test_a_folder_with_one_dicom_series_is_loaded_with_its_modality(a_scene, tmp_path):
    from MemorizingSAM3DLib.scene.scan import volumeNodeFromFile

    voxels = writeDicomSeries(tmp_path, "1.2.3.4")
    node = volumeNodeFromFile(tmp_path)

    volume = volumeFromNode(node)
    np.testing.assert_array_equal(volume.array, voxels)
    assert volume.modality == "CT"
    np.testing.assert_allclose(volume.spacing, (0.5, 0.5, 2.0))


def test_voxels_lie_where_the_file_says_where_slicers_reader_puts_them_elsewhere(a_scene, tmp_path):
    import nibabel

    from MemorizingSAM3DLib.engine.geometry import Volume
    from MemorizingSAM3DLib.scene.scan import volumeNodeFromFile
    from Testing.engine.dicom_writing import write_enhanced

    voxels = np.random.default_rng(0).integers(0, 500, (7, 6, 5)).astype(np.int16)
    image = nibabel.Nifti1Image(voxels.T, np.diag([-1.0, -2, 3, 1]))
    moved = np.diag([-1.0, -2, 3, 1])
    moved[:3, 3] = 10, -5, 3
    image.set_qform(np.diag([-1.0, -2, 3, 1]), 1)
    image.set_sform(moved, 2)
    nibabel.save(image, tmp_path / "moved.nii.gz")
    order = [0, 3, 6, 1, 4, 2, 5]
    write_enhanced(tmp_path / "frames.dcm", voxels[order].astype(np.uint16), [(0, 0, 3 * n) for n in order])

    for name in ("moved.nii.gz", "frames.dcm"):
        volume, ours = volumeFromNode(volumeNodeFromFile(tmp_path / name)), Volume.from_file(tmp_path / name)
        np.testing.assert_array_equal(volume.array, voxels)
        np.testing.assert_allclose(volume.ijk_to_ras, ours.ijk_to_ras, atol=1e-4)


def test_a_folder_with_two_dicom_series_is_refused(a_scene, tmp_path):
    from MemorizingSAM3DLib.scene.scan import volumeNodeFromFile

    writeDicomSeries(tmp_path, "1.2.3.4")
    writeDicomSeries(tmp_path, "1.2.3.5")

    with pytest.raises(VolumeError, match="2 DICOM series"):
        volumeNodeFromFile(tmp_path)


def test_a_missing_a_broken_and_a_4d_file_are_refused_and_leave_no_node(a_scene, tmp_path):
    from MemorizingSAM3DLib.scene.scan import volumeNodeFromFile

    (tmp_path / "broken.nii.gz").write_bytes(b"not a scan")
    frames = sitk.JoinSeries([sitk.Image(4, 4, 4, sitk.sitkInt16)] * 3)
    sitk.WriteImage(frames, str(tmp_path / "frames.nii"))
    before = a_scene.GetNumberOfNodes()

    for name, message in [("none.nii", "no file"), ("broken.nii.gz", "cannot be read"), ("frames.nii", "3 volumes")]:
        with pytest.raises(VolumeError, match=message):
            volumeNodeFromFile(tmp_path / name)
    assert a_scene.GetNumberOfNodes() == before


def writeDicomSeries(folder, uid):
    voxels = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(4):
        image = sitk.GetImageFromArray(voxels[k : k + 1])
        image.SetSpacing((0.5, 0.5, 2.0))
        tags = {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{uid}.{k + 1}",
            "0020|000d": "1.2.3",
            "0020|000e": uid,
            "0020|0013": str(k + 1),
            "0020|0032": f"0\\0\\{2.0 * k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0028|0030": "0.5\\0.5",
            "0018|0050": "2.0",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{uid}-{k}.dcm"))
        writer.Execute(image)
    return voxels
