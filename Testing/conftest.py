"""Fixtures on real MRML, shared by all tests. Only a test that asks for one boots slicer-core."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

# A scan of 12 x 14 x 16 voxels of 2 x 1.5 x 1 mm, patient left to the right, turned a little: nothing symmetric.
A_SHAPE = (16, 14, 12)


@pytest.fixture(scope="session")
def a_headless_application() -> Any:
    pytest.importorskip("slicer", reason="needs slicer-core: pip install memorizing-sam3d[scene]")
    from MemorizingSAM3DLib.scene.headless.application import headlessApplication

    return headlessApplication()


@pytest.fixture
def a_scene(a_headless_application: Any) -> Iterator[Any]:
    """The scene that slicer.mrmlScene is, empty but for what Slicer itself always has in it."""
    scene = a_headless_application.scene
    yield scene
    # Clear leaves singletons: the application's own nodes stay, the Segment Editor's would carry over.
    while editor_node := scene.GetFirstNodeByClass("vtkMRMLSegmentEditorNode"):
        scene.RemoveNode(editor_node)
    scene.Clear(False)


@pytest.fixture
def an_oblique_matrix() -> np.ndarray:
    """IJK to RAS with spacing (2, 1.5, 1) mm, flipped left-right and turned about two axes."""
    a, b = np.deg2rad(20), np.deg2rad(-35)
    about_s = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_r = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_s @ about_r @ np.diag([-2.0, 1.5, 1.0])
    matrix[:3, 3] = (30.0, -12.0, 7.0)
    return matrix


@pytest.fixture
def a_volume_node(a_scene: Any, an_oblique_matrix: np.ndarray) -> Any:
    """A scalar volume node with an oblique matrix; its voxels hold their own flat index."""
    import slicer

    voxels = np.arange(np.prod(A_SHAPE), dtype=np.int16).reshape(A_SHAPE)
    return slicer.util.addVolumeFromArray(voxels, an_oblique_matrix, "a scan")


@pytest.fixture
def a_segmentation_node(a_volume_node: Any) -> Any:
    from MemorizingSAM3DLib.scene.segments.segmentation import createSegmentation

    return createSegmentation(a_volume_node, "a segmentation")


@pytest.fixture
def a_linear_transform_node(a_scene: Any) -> Any:
    """Turned, moved and scaled alike on all axes."""
    import slicer

    node = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "a linear transform")
    c, s = 1.1 * np.cos(0.3), 1.1 * np.sin(0.3)
    matrix = np.array([[c, 0, s, 5.0], [0, 1.1, 0, -8.0], [-s, 0, c, 3.0], [0, 0, 0, 1.0]])
    slicer.util.updateTransformMatrixFromArray(node, matrix)
    return node
