"""bfloat16 is taken on a CPU where the processor has it and it computes rightly, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.geometry import CropGrid, Volume
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime import device
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime, cpu_computes_bfloat16, largest_error
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from Testing.engine.small_networks import SMALL_NATIVE


@pytest.fixture(autouse=True)
def asked_anew():
    cpu_computes_bfloat16.cache_clear()
    yield
    cpu_computes_bfloat16.cache_clear()


@pytest.fixture
def with_instructions(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)


def test_bfloat16_is_off_by_its_rounding():
    assert 1e-4 < largest_error() < device.TOLERANCE


def test_a_processor_with_the_instructions_that_computes_rightly_computes_bfloat16(with_instructions):
    assert cpu_computes_bfloat16()


def test_wrong_results_are_not_taken(with_instructions, monkeypatch):
    monkeypatch.setattr(device, "largest_error", lambda: 0.5)
    assert not cpu_computes_bfloat16()


def test_results_that_are_no_numbers_are_not_taken(with_instructions, monkeypatch):
    monkeypatch.setattr(device, "largest_error", lambda: float("nan"))
    assert not cpu_computes_bfloat16()


def test_a_pytorch_without_the_kernels_is_no_reason_to_fail(with_instructions, monkeypatch):
    def failing():
        raise RuntimeError("not implemented for 'BFloat16'")

    monkeypatch.setattr(device, "largest_error", failing)
    assert not cpu_computes_bfloat16()


def test_emulation_is_not_taken(monkeypatch):
    for name in device._INSTRUCTIONS:
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert not cpu_computes_bfloat16()


@pytest.mark.parametrize(("computes", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_the_fastest_precision_of_a_cpu_follows_from_that_and_is_said(monkeypatch, computes, precision):
    monkeypatch.setattr(device, "cpu_computes_bfloat16", lambda: computes)
    chosen = choose_runtime("cpu", "fastest")
    assert chosen.precision == precision
    assert chosen.description.endswith(precision)
    assert choose_runtime("cpu").precision == "float32"


def test_in_bfloat16_too_the_same_clicks_give_the_same_logits_to_the_bit():
    torch.manual_seed(0)
    network = build_network(SMALL_NATIVE)
    scan = Volume(np.random.default_rng(0).normal(0, 100, (40, 40, 40)).astype(np.int16), np.eye(4))
    grid = CropGrid((20.0, 20.0, 20.0), 1.0, 32)
    clicks = [Click((20.0, 20.0, 20.0)), Click((25.0, 18.0, 14.0), False), Click((12.0, 21.0, 26.0))]
    found = []
    for _ in range(2):
        predictor, previous = Predictor(network, choose_runtime("cpu", "bfloat16")), None
        predictor.set_volume(scan)
        for count in (1, 2, 3):
            previous = predictor.logits(grid, clicks[:count], previous)
            found.append(previous)
    for first, again in zip(found[:3], found[3:], strict=True):
        np.testing.assert_array_equal(first, again)
