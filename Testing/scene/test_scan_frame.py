from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.scene.scan_frame import ScanFrame, gridOf
from MemorizingSAM3DLib.scene.volumes import localToWorld
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
