from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.benchmarks import fixtures
from MemorizingSAM3DLib.benchmarks.fixtures import ORGAN_RADII_MM, a_scan, a_volume, organ_box, some_clicks
from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Setting, UnavailableError
from MemorizingSAM3DLib.benchmarks.harness.process import Clock
from MemorizingSAM3DLib.benchmarks.parts import click as clicking
from MemorizingSAM3DLib.learning.evaluation.baselines import BaselineError
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE


def test_the_scan_holds_the_organ_that_is_said(a_small_hospital):
    voxels, matrix = a_scan()
    millilitres = (voxels > 85).sum() * np.linalg.det(matrix[:3, :3]) / 1000
    assert millilitres == pytest.approx(4 / 3 * np.pi * np.prod(ORGAN_RADII_MM) / 1000, rel=0.1)


def test_clicks_are_the_centre_then_outside_and_inside_in_turn(a_small_hospital):
    volume, clicks = a_volume(), some_clicks(5)
    inside = [volume.array[volume.nearest_voxel(click.ras)[::-1]] > 85 for click in clicks]
    assert inside == [click.positive for click in clicks] == [True, False, True, False, True]
    assert organ_box(volume).shape == pytest.approx(2 * np.array(ORGAN_RADII_MM[::-1]) / volume.spacing[::-1], abs=3)


CLICKED: list[dict] = [{}, {"remembered": 2}, {"reencode": True}, {"clicks": 40}, {"remembered": 2, "pause": True}]


@pytest.mark.parametrize("options", CLICKED, ids=str)
def test_a_click_in_the_engine_gives_the_mask_in_the_organs_box(a_small_setting, a_small_hospital, options):
    job = clicking.engine_click(a_small_setting, **options)
    if job.prepare:
        job.prepare()
    mask = job.run()
    assert mask.dtype == bool and mask.shape == organ_box(a_volume()).shape


@pytest.mark.parametrize("tool", ["random_walker", "confidence_connected"])
def test_classic_tools_get_the_same_scan_and_clicks(a_small_hospital, tool):
    mask = clicking.classic_click(Setting(), tool).run()
    assert mask.shape == fixtures.SHAPE and mask[organ_box(a_volume()).slices].sum() == mask.sum() > 100


def test_a_classic_tool_whose_package_is_missing_is_not_available(monkeypatch):
    def require(self):
        raise BaselineError("It needs a package.", "Install it.")

    monkeypatch.setattr("MemorizingSAM3DLib.learning.evaluation.baselines.RandomWalker.require", require)
    with pytest.raises(UnavailableError, match="needs a package"):
        clicking.classic("random_walker")


@pytest.mark.parametrize(
    ("config", "literal"), [(SMALL_NATIVE, False), (SMALL_FASTSAM3D, False), (SMALL_FASTSAM3D, True)]
)
def test_decoding_is_counted(config, literal):
    job = clicking.decode(Setting(), "student", literal, config)
    assert job.run().shape[-1] == config.output_size
    assert job.facts["operations"] > 1e5 and job.facts["bytes"] > 1e4


def test_the_published_decoders_mask_is_that_of_our_decoder():
    ours, literal = (clicking.decode(Setting(), "student", way, SMALL_FASTSAM3D).run() for way in (False, True))
    assert np.allclose(ours, literal, atol=1e-4)


def test_points_in_a_real_scene_are_another_each_time_and_encode_nothing(a_scene, a_small_setting, a_small_hospital):
    job = clicking.scene_click(a_small_setting)
    clock = Clock(job, a_small_setting)
    assert clock.turn()[""] > 0 and clock.turn()[""] > 0
    lists = a_scene.GetNodesByClass("vtkMRMLMarkupsFiducialNode")
    assert sum(lists.GetItemAsObject(i).GetNumberOfControlPoints() for i in range(lists.GetNumberOfItems())) >= 3


def test_a_classic_tool_writes_its_mask_into_the_scene(a_scene, a_small_hospital):
    from MemorizingSAM3DLib.scene.segments.segmentation import maskFromSegment

    job = clicking.classic_scene_click(Setting(), "grow_from_seeds")
    job.run()
    segmentation = a_scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    segment = segmentation.GetSegmentation().GetNthSegmentID(0)
    mask = maskFromSegment(segmentation, segment, a_scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
    assert mask.sum() > 100
