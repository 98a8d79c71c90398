from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from MemorizingSAM3DLib.benchmarks.harness.benchmark_case import Setting, UnavailableError
from MemorizingSAM3DLib.benchmarks.parts import scaling
from MemorizingSAM3DLib.benchmarks.parts.scaling import knn_part, search, some_vectors
from MemorizingSAM3DLib.engine.case_memory import nearest as engine_retrieval

with_faiss = pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")
SOME = {"width": 8, "queries": 3, "k": 5}


def test_vectors_are_always_the_same_and_of_unit_length():
    vectors = some_vectors(300, 8)
    assert torch.equal(vectors, some_vectors(300, 8))
    assert torch.allclose(torch.linalg.vector_norm(vectors, dim=1), torch.ones(300))


@with_faiss
def test_every_backend_searches_the_same_vectors_and_finds_the_same():
    ours, faiss = (search(Setting(), 400, backend=b, **SOME) for b in ("torch", "faiss"))
    assert ours.facts["found"] == faiss.facts["found"]
    assert faiss.run().indices.shape == (3, 5)


def test_without_faiss_it_is_not_available(monkeypatch):
    monkeypatch.setattr(engine_retrieval, "_faiss", lambda: None)
    with pytest.raises(UnavailableError, match="not installed"):
        search(Setting(), 60, backend="faiss", **SOME)


def test_what_does_not_fit_into_the_memory_is_not_tried(monkeypatch):
    monkeypatch.setattr(scaling, "available_bytes", lambda: 1000)
    with pytest.raises(UnavailableError, match="0.0 GB are free"):
        search(Setting(), 60, backend="torch", **SOME)


def test_there_is_a_group_for_each_number_of_vectors():
    part = knn_part(Setting(), [100_000, 5], 768, 1, 10)
    assert [group.title for group in part.groups] == ["100,000 vectors", "5 vectors"]
    assert [benchmark_case.name for benchmark_case in part.groups[0].benchmark_cases] == ["torch", "faiss"]
    assert part.groups[0].wanted["torch"].most_ms == 85 and not part.groups[1].wanted
