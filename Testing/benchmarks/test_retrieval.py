from __future__ import annotations

import json
from importlib.util import find_spec

import pytest
import torch
from typer.testing import CliRunner

from MemorizingSAM3DLib.benchmarks.retrieval import measure_retrieval, some_vectors, stages
from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.memory import retrieval

with_faiss = pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")


def test_vectors_are_always_the_same_and_of_unit_length():
    vectors = some_vectors(300, 8)
    assert torch.equal(vectors, some_vectors(300, 8))
    assert torch.allclose(torch.linalg.vector_norm(vectors, dim=1), torch.ones(300))


@with_faiss
def test_every_backend_is_measured_on_the_same_vectors_and_finds_the_same():
    done = []
    report = measure_retrieval([50, 400], 8, 3, 5, 2, inverted=True, progress=lambda: done.append(1))
    assert len(done) == stages([50, 400], 2)
    assert [run["vectors"] for run in report["runs"]] == [50, 400]
    for run in report["runs"]:
        assert set(run["milliseconds"]) == {"torch", "faiss", "faiss-ivf"}
        assert run["ratio"]["torch"] == 1
        assert run["same_neighbours"]["faiss"] == 1
        assert all(milliseconds > 0 for milliseconds in run["milliseconds"].values())


def test_without_faiss_pytorch_alone_is_measured_and_said_so(monkeypatch, tmp_path):
    monkeypatch.setattr(retrieval, "_faiss", lambda: None)
    out = tmp_path / "knn.json"
    command = ["benchmark", "knn", "--vectors", "60", "--width", "8", "--repeats", "1", "--inverted", "--out", str(out)]
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, command)
    assert done.exit_code == 0
    assert "faiss is not installed" in done.output
    assert set(json.loads(out.read_text())["runs"][0]["milliseconds"]) == {"torch"}
