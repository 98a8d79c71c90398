from __future__ import annotations

import numpy as np
import pytest


def test_booting_twice_gives_the_same_scene(a_scene):
    from MemorizingSAM3DLib.scene.headless.application import bootScene

    assert bootScene() is a_scene
    assert bootScene() is bootScene()


def test_slicer_util_reads_and_writes_volume_nodes(a_scene):
    import slicer

    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    node = slicer.util.addVolumeFromArray(voxels, np.diag([1.0, 2.0, 3.0, 1.0]), "volume")

    assert slicer.util.getNode("volume") is node
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), voxels)


def test_slicer_util_reads_segments(a_segmentation_node, a_volume_node):
    import slicer

    segmentID = a_segmentation_node.GetSegmentation().AddEmptySegment("", "segment")
    array = slicer.util.arrayFromSegmentBinaryLabelmap(a_segmentation_node, segmentID, a_volume_node)

    assert array.shape == slicer.util.arrayFromVolume(a_volume_node).shape
    assert not array.any()


def test_inside_slicer_its_own_scene_is_used_and_nothing_is_booted(a_scene, monkeypatch):
    import slicer

    from MemorizingSAM3DLib.scene.headless.application import bootScene, headlessApplication
    from MemorizingSAM3DLib.scene.vtk_messages import runsInsideSlicer

    assert not runsInsideSlicer()
    monkeypatch.setattr(slicer, "app", object(), raising=False)  # what the Slicer application defines
    assert runsInsideSlicer()
    assert bootScene() is slicer.mrmlScene
    with pytest.raises(RuntimeError, match="inside Slicer"):
        headlessApplication()
