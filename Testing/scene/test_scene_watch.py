from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.scene.scene_watch import SceneWatch
from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation


class Follower:
    """Notes what it is told."""

    def __init__(self):
        self.heard = []

    def __getattr__(self, name):
        return lambda *nodes: self.heard.append((name, *nodes))


@pytest.fixture
def a_follower():
    return Follower()


@pytest.fixture
def a_watch(a_scene, a_follower):
    watch = SceneWatch(a_scene, a_follower)
    yield watch
    watch.close()


def told(follower):
    names = {call[0] for call in follower.heard}
    follower.heard.clear()
    return names


def test_a_scan_that_is_moved_is_told_from_one_that_is_another(a_watch, a_follower, a_volume_node,
                                                               a_linear_transform_node):  # fmt: skip
    import slicer

    a_watch.followScan(a_volume_node)
    a_volume_node.SetAndObserveTransformNodeID(a_linear_transform_node.GetID())
    assert told(a_follower) == {"onScanMoved"}
    slicer.util.updateTransformMatrixFromArray(a_linear_transform_node, np.eye(4))
    assert told(a_follower) == {"onScanMoved"}
    slicer.util.arrayFromVolumeModified(a_volume_node)
    assert told(a_follower) == {"onScanChanged"}
    a_volume_node.SetSpacing(3, 2, 1)
    assert told(a_follower) == {"onScanChanged"}
    a_volume_node.SetOrigin(3, 2, 1)
    assert told(a_follower) == {"onScanChanged"}
    a_volume_node.SetAndObserveImageData(None)
    assert told(a_follower) == {"onScanChanged"}


def test_a_new_name_is_no_change_of_the_scan(a_watch, a_follower, a_volume_node):
    a_watch.followScan(a_volume_node)
    a_volume_node.SetName("another name")
    a_volume_node.SetAttribute("something", "else")

    assert told(a_follower) == set()


def test_one_scan_is_followed_at_a_time(a_watch, a_follower, a_volume_node):
    import slicer

    a_watch.followScan(a_volume_node)
    a_watch.followScan(None)
    slicer.util.arrayFromVolumeModified(a_volume_node)

    assert told(a_follower) == set()


def test_segments_that_come_go_or_change_are_told(a_watch, a_follower, a_segmentation_node):
    a_watch.followSegmentation(a_segmentation_node)
    segmentID = addSegment(a_segmentation_node, "one")
    assert "onSegmentsChanged" in told(a_follower)
    a_segmentation_node.GetSegmentation().GetSegment(segmentID).SetName("renamed")
    assert told(a_follower) == {"onSegmentsChanged"}
    a_segmentation_node.GetSegmentation().RemoveSegment(segmentID)
    assert "onSegmentsChanged" in told(a_follower)


def test_a_segmentation_that_gets_other_contents_is_followed_on(a_watch, a_follower, a_segmentation_node):
    import slicer

    a_watch.followSegmentation(a_segmentation_node)
    before = a_segmentation_node.GetSegmentation()
    a_segmentation_node.SetAndObserveSegmentation(slicer.vtkSegmentation())
    assert "onSegmentationChanged" in told(a_follower)
    before.AddEmptySegment()
    assert told(a_follower) == set()
    a_segmentation_node.GetSegmentation().AddEmptySegment()
    assert "onSegmentsChanged" in told(a_follower)


def test_one_segmentation_is_followed_at_a_time(a_watch, a_follower, a_volume_node):
    first, second = (createSegmentation(a_volume_node, name) for name in ("first", "second"))
    a_watch.followSegmentation(first)
    a_watch.followSegmentation(second)
    a_follower.heard.clear()
    addSegment(first, "nobody looks")

    assert told(a_follower) == set()


def test_a_node_is_told_before_it_goes_and_that_one_has_gone_after(a_watch, a_follower, a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLModelNode")
    a_follower.heard.clear()
    a_scene.RemoveNode(node)

    assert a_follower.heard == [("onNodeAboutToBeRemoved", node), ("onNodeRemoved",)]


def test_a_scene_that_closes_is_told_once_and_not_node_by_node(a_watch, a_follower, a_scene, a_volume_node):
    a_follower.heard.clear()
    a_scene.Clear(False)

    assert a_follower.heard == [("onSceneClosing",), ("onSceneReplaced",)]


def test_an_imported_scene_is_told(a_watch, a_follower, a_scene, a_volume_node, tmp_path):
    path = str(tmp_path / "scene.mrml")
    a_scene.SetURL(path)
    assert a_scene.Commit()
    a_follower.heard.clear()
    assert a_scene.Import()

    assert ("onSceneReplaced",) in a_follower.heard


def test_nothing_is_told_after_closing(a_watch, a_follower, a_scene, a_volume_node, a_segmentation_node):
    a_watch.followScan(a_volume_node)
    a_watch.followSegmentation(a_segmentation_node)
    a_watch.close()
    a_follower.heard.clear()
    addSegment(a_segmentation_node, "one")
    a_volume_node.SetSpacing(3, 2, 1)
    a_scene.RemoveNode(a_volume_node)

    assert a_follower.heard == []
