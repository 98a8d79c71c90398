from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Setting
from MemorizingSAM3DLib.benchmarks.harness.process import Finding
from MemorizingSAM3DLib.benchmarks.harness.roofline import ceiling_of, counted, device_group, encode_facts
from MemorizingSAM3DLib.benchmarks.literal import literal_encode
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE, SMALL_SAM_MED3D


def test_a_matrix_product_is_counted():
    a, b = torch.ones(3, 5), torch.ones(5, 7)
    assert counted(lambda: a @ b, [a, b], "bfloat16") == {
        "operations": 2 * 3 * 5 * 7, "bytes": 2 * (15 + 35), "precision": "bfloat16"
    }  # fmt: skip


def test_the_students_operations_are_those_of_the_papers_network():
    from MemorizingSAM3DLib.benchmarks.fixtures import config_of

    facts = encode_facts(config_of("student"), "float32")
    assert facts["operations"] == pytest.approx(49.6e9, rel=0.01)
    assert facts["bytes"] == pytest.approx(4 * 45.6e6, rel=0.06)


def test_half_the_bytes_in_bfloat16():
    full, half = (encode_facts(SMALL_NATIVE, precision) for precision in ("float32", "bfloat16"))
    assert full["bytes"] == 2 * half["bytes"] and full["operations"] == half["operations"] > 0


def test_the_padded_windows_of_the_published_arithmetic_cost_more():
    ours, literal = encode_facts(SMALL_SAM_MED3D, "float32"), encode_facts(SMALL_SAM_MED3D, "float32", literal_encode)
    assert literal["operations"] > 2 * ours["operations"]
    column = SMALL_FASTSAM3D.with_(attention="column")
    assert encode_facts(column, "float32", literal_encode)["operations"] == pytest.approx(
        encode_facts(column, "float32")["operations"], rel=0.01
    )


def test_the_ceiling_is_the_fastest_turn_of_each():
    group = device_group(Setting())
    operations = {"operations": 1e9}
    findings = [
        Finding(group.benchmark_cases[0], milliseconds={"": [20.0, 10.0]}, facts=operations),
        Finding(group.benchmark_cases[1], "failed", "no bfloat16"),
        Finding(group.benchmark_cases[2], milliseconds={"": [100.0]}, facts={"bytes": 5e8}),
    ]
    ceiling = ceiling_of(findings)
    assert ceiling.operations == {"float32": 1e11} and ceiling.bytes == 5e9
    assert ceiling_of(findings[:2]) is None
    assert ceiling_of([Finding(group.benchmark_cases[0], milliseconds={"a lap": [1.0]})]) is None
