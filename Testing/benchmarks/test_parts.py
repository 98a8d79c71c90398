"""The jobs of the other parts, with a small model on a small scan."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from MemorizingSAM3DLib.benchmarks import fixtures
from MemorizingSAM3DLib.benchmarks.fixtures import a_volume, organ_box
from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Setting, UnavailableError
from MemorizingSAM3DLib.benchmarks.parts import memories, scaling, session, write
from MemorizingSAM3DLib.benchmarks.run import all_parts
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE

CPU = Setting()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_part_has_contenders_with_names_of_their_own_that_can_be_sent_to_a_process(device):
    names = []
    for make, repeats in all_parts():
        part = make(Setting(device))
        names.append(part.name)
        assert repeats >= 1 and part.turns(repeats) > 0
        for group in part.groups:
            benchmark_cases = [benchmark_case.name for benchmark_case in group.benchmark_cases]
            assert len(set(benchmark_cases)) == len(benchmark_cases), group.title
            assert group.reference in {None, *benchmark_cases}
            assert all(name.partition(": ")[0] in benchmark_cases for name in group.wanted), group.title
            assert pickle.loads(pickle.dumps(list(group.benchmark_cases))) == list(group.benchmark_cases)
    assert names == ["encode", "click", "session", "memory", "knn", "writing", "start", "scaling"]


def test_ten_clicks_encode_once_and_paste_the_organ_where_the_published_way_pastes_the_crop(
    a_small_hospital, monkeypatch
):
    monkeypatch.setattr(session, "CLICKS", 3)
    made = []
    monkeypatch.setattr(session, "predictor_of", lambda *a, **k: made.append(original(*a, **k)) or made[-1])
    ours = session.ten_clicks(CPU, "student", config=SMALL_FASTSAM3D)
    again = session.ten_clicks(CPU, "student", reencode=True, config=SMALL_FASTSAM3D)
    literal = session.ten_published_clicks(CPU, "student", config=SMALL_FASTSAM3D)

    before = [predictor.encodes for predictor in made]
    masks = [job.run() for job in (ours, again, literal)]

    assert [predictor.encodes - count for predictor, count in zip(made, before, strict=True)] == [1, 3]
    organ = organ_box(a_volume())
    assert masks[0].shape == organ.shape and masks[2].size > masks[0].size
    assert np.array_equal(masks[0], masks[1])


original = session.predictor_of


@pytest.mark.parametrize("options", [{}, {"remembered": 2}, {"reencode": True}], ids=str)
def test_a_whole_session_starts_from_nothing_each_time(a_small_setting, a_small_hospital, options):
    job = session.whole_session(a_small_setting, 3, **options)
    assert np.array_equal(job.run().copy(), job.run())


def test_memories_are_measured(a_small_setting, a_small_hospital):
    conditioned = memories.memory_attention(CPU, 3, SMALL_FASTSAM3D).run()
    assert conditioned.embedding.shape == (1, 48, 4, 4, 4)
    plain, attending = (memories.encode(a_small_setting, n).run().embedding for n in (0, 2))
    assert plain.shape == attending.shape and not np.allclose(plain, attending)
    extent, logits = memories.first_click(CPU, 3, SMALL_NATIVE).run()
    assert extent.shape[1] == 3 and logits.shape == (SMALL_NATIVE.output_size,) * 3


def test_pasting_ours_and_as_published_draws_the_organ(a_small_hospital):
    organ = write.organ_mask(1.0)
    volume = fixtures.a_volume()
    boxed, whole = (write.paste(CPU, whole=whole).run() for whole in (False, True))
    published = write.paste_as_published(CPU).run()
    assert boxed.sum() == whole.sum() == pytest.approx(organ.sum(), rel=0.05)
    assert boxed.shape == fixtures.organ_box(volume).shape
    assert (published & organ).sum() > 0.9 * organ.sum()
    assert write.paste(CPU, whole=True, oblique=True).run().sum() == pytest.approx(organ.sum(), rel=0.05)


@pytest.mark.parametrize("way", ["changed box", "whole scan", "slicer.util"])
def test_two_masks_are_written_in_turn(a_scene, a_small_hospital, way):
    from MemorizingSAM3DLib.scene.segments.segmentation import maskFromSegment

    job = write.write(CPU, way)
    segmentation = a_scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    segment = segmentation.GetSegmentation().GetNthSegmentID(0)
    node = a_scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    for scale in (1.05, 1.0, 1.05):
        job.run()
        assert np.array_equal(maskFromSegment(segmentation, segment, node), write.organ_mask(scale))


def test_a_cold_start_tells_its_steps(a_small_setting, a_small_hospital):
    laps = session.cold_start(a_small_setting).run()
    assert set(session.start_part(CPU).groups[0].wanted) == {f"ours: {list(laps)[3]}"}
    assert laps["all of it"] == pytest.approx(sum(list(laps.values())[:4]))


def test_stretches_of_a_session_grow_tenfold_and_leave_out_what_encoded():
    assert scaling.stretches([9.0, 1.0, None, 3.0] + [2.0] * 96 + [7.0] * 2) == {
        "clicks 2 to 10": 2.0, "clicks 11 to 100": 2.0, "clicks 101 to 102": 7.0
    }  # fmt: skip
    assert scaling.stretches([5.0, None]) == {}


def test_a_long_session_is_measured_in_stretches(a_small_setting, a_small_hospital):
    assert "clicks 2 to 10" in scaling.long_session(a_small_setting, 12).run()


def test_a_scans_steps_are_measured_and_one_that_does_not_fit_is_not_available(a_small_setting, monkeypatch):
    laps = scaling.of_scan(a_small_setting, (64, 64, 64)).run()
    assert {"taking the scan", "encoding a crop"} <= set(laps)
    monkeypatch.setattr(scaling, "available_bytes", lambda: 2_000_000_000)
    with pytest.raises(UnavailableError, match=r"needs 5\.2 GB of memory; 2\.0 GB are free"):
        scaling.of_scan(a_small_setting, (800, 1024, 1024))
