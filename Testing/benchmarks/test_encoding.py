from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.benchmarks import encoding
from MemorizingSAM3DLib.engine.networks.sam3d import PublishedSAM3D
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE, SMALL_SAM_MED3D


@pytest.fixture
def small_networks(monkeypatch):
    """The three families at a size that takes milliseconds, and memory figures that need no process."""
    configs = {"sam_med3d": SMALL_SAM_MED3D, "fastsam3d": SMALL_FASTSAM3D}
    monkeypatch.setattr(encoding, "build_published", lambda family: PublishedSAM3D(configs[family]))
    monkeypatch.setattr(encoding, "native_config", lambda: SMALL_NATIVE)
    monkeypatch.setattr(encoding, "an_image", lambda: torch.randn(1, 1, 32, 32, 32))
    monkeypatch.setattr(
        encoding, "added_by_teacher_encode", lambda way, threads: {"ours": 100, "literal": 900}[way] * threads
    )


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_a_report_has_every_job_and_the_comparison(small_networks, threads):
    stages = []
    report = encoding.measure_encoding(2, threads, lambda: stages.append(1))
    jobs = {f"{family} {job}" for family in ("sam_med3d", "fastsam3d", "native") for job in ("encode", "decode")}
    assert set(report["milliseconds"]) == jobs | {"sam_med3d encode, literal"}
    assert all(value > 0 for value in report["milliseconds"].values())
    assert report["speed_up"] > 0
    assert 0 < report["largest_difference"] < 1e-4
    assert report["added_bytes"] == {"ours": 100 * threads, "literal": 900 * threads}
    assert len(stages) == encoding.stages(2)


def test_jobs_are_run_in_turn_and_the_first_round_is_not_counted(monkeypatch):
    order, now = [], {"time": 0.0}

    def job(name: str, durations: list[float]):
        def run() -> None:
            order.append(name)
            now["time"] += durations.pop(0)

        return run

    monkeypatch.setattr(encoding.time, "perf_counter", lambda: now["time"])
    found = encoding.median_times({"a": job("a", [99, 1, 3, 2]), "b": job("b", [99, 10, 10, 40])}, 3)
    assert order == ["a", "b"] * 4
    assert found == {"a": 2, "b": 10}


def test_networks_and_images_are_always_the_same_and_leave_the_global_generator_alone(monkeypatch):
    monkeypatch.setattr(encoding, "build_published", lambda family: PublishedSAM3D(SMALL_SAM_MED3D))
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = encoding.a_published_network("sam_med3d").state_dict()
    assert torch.equal(torch.rand(1), expected)
    second = encoding.a_published_network("sam_med3d").state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert first["image_encoder.blocks.0.attn.rel_pos_d"].any()
