from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.benchmarks import fixtures
from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Group, Setting, UnavailableError
from MemorizingSAM3DLib.benchmarks.parts import encode as encoding
from MemorizingSAM3DLib.benchmarks.parts.encode import attention_alone, encode_part, encoder_job
from MemorizingSAM3DLib.engine.networks.sam3d import PublishedSAM3D
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE, SMALL_SAM_MED3D

CPU = Setting()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_contender_encodes_one_crop_and_says_what_that_takes(precision):
    job = encoder_job(CPU, SMALL_NATIVE, precision)
    assert job.run().shape == (1, 64, 2, 2, 2)
    assert job.facts["precision"] == precision and job.facts["operations"] > 1e6


@pytest.mark.parametrize(
    "config",
    [SMALL_SAM_MED3D, SMALL_FASTSAM3D, SMALL_FASTSAM3D.with_(attention="column")],
    ids=["teacher", "student", "published sparse"],
)
def test_the_published_arithmetic_gives_what_ours_gives(config):
    ours, literal = (encoder_job(CPU, config, literal=literal).run() for literal in (False, True))
    torch.testing.assert_close(literal, ours, atol=2e-4, rtol=1e-3)


def test_a_backend_of_attention_gives_the_same_and_one_that_is_not_there_is_named():
    ours, formula = (encoder_job(CPU, SMALL_NATIVE, backend=backend).run() for backend in ("chosen", "math"))
    torch.testing.assert_close(formula, ours, atol=2e-5, rtol=1e-4)
    with pytest.raises(UnavailableError, match="cudnn attention does not take"):
        encoder_job(CPU, SMALL_NATIVE, backend="cudnn")


def test_an_error_of_another_kind_is_not_taken_for_a_missing_backend(monkeypatch):
    def encode(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(encoding, "literal_encode", encode)
    with pytest.raises(RuntimeError, match="out of memory"):
        encoder_job(CPU, SMALL_FASTSAM3D, literal=True)


@pytest.mark.parametrize("kind", ["bias", "no bias", "formula", "sparse"])
def test_one_attention_is_measured_by_itself(kind):
    assert attention_alone(CPU, kind).run().shape == (1, 6, 512, 128)


def test_flash_attn_needs_a_gpu():
    with pytest.raises(UnavailableError, match="no GPU"):
        attention_alone(CPU, "flash-attn, no bias")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_size_is_compared_with_itself_in_dense_attention(device):
    part = encode_part(Setting(device))
    sizes: list[Group] = [group for group in part.groups if group.title.startswith("Encode")]
    assert [group.reference for group in sizes] == ["dense"] * 3
    for group in part.groups:
        names = [benchmark_case.name for benchmark_case in group.benchmark_cases]
        assert len(set(names)) == len(names) and {group.reference, *group.wanted} <= {*names, None}
    assert any("cudnn" in benchmark_case.name for benchmark_case in sizes[0].benchmark_cases) == (device == "cuda")


def test_networks_and_images_are_always_the_same_and_leave_the_global_generator_alone(monkeypatch):
    monkeypatch.setattr(fixtures, "build_published", lambda family: PublishedSAM3D(SMALL_SAM_MED3D))
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = fixtures.a_published_network("sam_med3d").state_dict()
    assert torch.equal(torch.rand(1), expected)
    second = fixtures.a_published_network("sam_med3d").state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert first["image_encoder.blocks.0.attn.rel_pos_d"].any()
