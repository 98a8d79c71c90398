from __future__ import annotations

from MemorizingSAM3DLib.scene.slice_views import jumpTo


def test_all_slice_views_are_brought_to_a_point(a_scene):
    import slicer

    views = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", f"view {number}") for number in range(2)]
    for view, orientation in zip(views, ("Axial", "Sagittal"), strict=True):
        view.SetOrientation(orientation)
    jumpTo(slicer.mrmlScene, (12.0, -8.0, 31.0))

    axial, sagittal = (view.GetSliceToRAS() for view in views)
    assert axial.GetElement(2, 3) == 31.0
    assert sagittal.GetElement(0, 3) == 12.0
