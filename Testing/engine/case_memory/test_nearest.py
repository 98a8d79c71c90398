from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.case_memory import nearest
from MemorizingSAM3DLib.engine.case_memory.nearest import NearestCases

# Not installed everywhere: on macOS its wheels and PyTorch's each bring an OpenMP of their own.
with_faiss = pytest.mark.skipif(find_spec("faiss") is None, reason="faiss is not installed")
EXACT = ("torch", pytest.param("faiss", marks=with_faiss))
BACKENDS = EXACT


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def some_vectors(count: int, width: int = 16, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, width))).astype(np.float32)


def by_hand(vectors: np.ndarray, query: np.ndarray, k: int, metric: str) -> tuple[list[int], np.ndarray]:
    vectors, query = unit(vectors.astype(np.float64)), unit(query.astype(np.float64)[None])[0]
    distances = 1 - vectors @ query if metric == "cosine" else np.linalg.norm(vectors - query, axis=1)
    order = sorted(range(len(vectors)), key=lambda row: (distances[row], row))[:k]
    return order, distances[order]


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("backend", EXACT)
def test_the_nearest_vectors_are_found_nearest_first(backend, metric):
    vectors, queries = some_vectors(200), some_vectors(7, seed=1)
    found = NearestCases(vectors, metric, backend=backend).search(queries, 5)
    assert found.indices.shape == found.distances.shape == (7, 5)
    assert (found.indices.dtype, found.distances.dtype) == (np.int64, np.float32)
    for query, indices, distances in zip(queries, found.indices, found.distances, strict=True):
        wanted, expected = by_hand(vectors, query, 5, metric)
        assert indices.tolist() == wanted
        np.testing.assert_allclose(distances, expected, atol=1e-6)


@with_faiss
@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60),
    width=st.integers(2, 24),
    queries=st.integers(1, 6),
    k=st.integers(1, 70),
    seed=st.integers(0, 10**6),
    filtered=st.booleans(),
)
def test_faiss_and_torch_find_the_same(count, width, queries, k, seed, filtered):
    vectors, asked = some_vectors(count, width, seed), some_vectors(queries, width, seed + 1)
    among = np.random.default_rng(seed).random(count) < 0.5 if filtered else None
    ours = NearestCases(vectors, backend="torch").search(asked, k, among)
    theirs = NearestCases(vectors, backend="faiss").search(asked, k, among)
    assert ours.indices.shape == (queries, min(k, count if among is None else int(among.sum())))
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_array_equal(ours.distances, theirs.distances)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_vector_finds_itself_at_distance_zero(backend):
    vectors = some_vectors(50)
    for metric in ("cosine", "l2"):
        found = NearestCases(vectors, metric, backend=backend).search(vectors[:3], 1)
        assert found.indices[:, 0].tolist() == [0, 1, 2]
        assert (found.distances == 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_k_is_clipped_to_what_is_there(backend):
    vectors = some_vectors(3)
    found = NearestCases(vectors, backend=backend).search(vectors[:2], 10)
    assert found.indices.shape == (2, 3)
    assert sorted(found.indices[0].tolist()) == [0, 1, 2]
    only_one = np.array([False, True, False])
    assert NearestCases(vectors, backend=backend).search(vectors, 10, only_one).indices.tolist() == [[1]] * 3


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_found_among_nothing(backend):
    for search, among in (
        (NearestCases(np.zeros((0, 16), np.float16), backend=backend), None),
        (NearestCases(some_vectors(5), backend=backend), np.zeros(5, bool)),
    ):
        found = search.search(some_vectors(2), 3, among)
        assert found.indices.shape == found.distances.shape == (2, 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_filter_is_exact_with_every_backend(backend):
    vectors, queries = some_vectors(300), some_vectors(4, seed=1)
    among = np.random.default_rng(2).random(300) < 0.1
    found = NearestCases(vectors, backend=backend).search(queries, 5, among)
    allowed = np.flatnonzero(among)
    for query, indices in zip(queries, found.indices, strict=True):
        assert indices.tolist() == allowed[by_hand(vectors[among], query, 5, "cosine")[0]].tolist()


@pytest.mark.parametrize("backend", EXACT)
def test_equally_near_cases_come_in_their_order(backend):
    vectors = np.repeat(some_vectors(2), 4, axis=0)
    found = NearestCases(vectors, backend=backend).search(vectors[:1], 8)
    assert found.indices[0].tolist() == list(range(8))


def test_lengths_do_not_matter_and_half_precision_is_enough():
    vectors, query = some_vectors(100), some_vectors(1, seed=1)
    plain = NearestCases(vectors).search(query, 5)
    for changed in (3 * vectors, vectors.astype(np.float16), torch.from_numpy(vectors).double() / 7):
        found = NearestCases(changed).search(0.1 * query, 5)
        np.testing.assert_array_equal(found.indices, plain.indices)
        np.testing.assert_allclose(found.distances, plain.distances, atol=1e-3)


def test_searching_in_blocks_changes_nothing(monkeypatch):
    vectors, queries = some_vectors(100), some_vectors(9, seed=1)
    whole = NearestCases(vectors, backend="torch").search(queries, 12)
    monkeypatch.setattr(nearest, "_MOST_SCORES", 100)
    monkeypatch.setattr(nearest, "_MOST_GATHERED", 400)
    parts = NearestCases(vectors, backend="torch").search(queries, 12)
    np.testing.assert_array_equal(whole.indices, parts.indices)
    np.testing.assert_array_equal(whole.distances, parts.distances)


def test_a_read_only_stack_of_a_memory_can_be_searched(recwarn):
    vectors = some_vectors(10).astype(np.float16)
    vectors.setflags(write=False)
    assert NearestCases(vectors).search(vectors[:1], 1).indices.tolist() == [[0]]
    assert not recwarn.list


def test_without_faiss_everything_works_and_says_so(monkeypatch):
    monkeypatch.setattr(nearest, "_faiss", lambda: None)
    vectors = some_vectors(30)
    search = NearestCases(vectors, backend="faiss")
    assert search.runtime.backend == "torch"
    assert "faiss is not installed" in str(search.runtime)
    np.testing.assert_array_equal(search.search(vectors, 3).indices[:, 0], np.arange(30))
    assert NearestCases(vectors).runtime.note == ""


@pytest.mark.parametrize(
    "job",
    [
        lambda: NearestCases(np.zeros((3, 4))),
        lambda: NearestCases(np.full((3, 4), np.nan)),
        lambda: NearestCases(np.ones(4)),
        lambda: NearestCases(np.ones((3, 4)), metric="dot"),
        lambda: NearestCases(np.ones((3, 4)), backend="annoy"),
        lambda: NearestCases(np.ones((3, 4))).search(np.ones((1, 5)), 1),
        lambda: NearestCases(np.ones((3, 4))).search(np.zeros((1, 4)), 1),
        lambda: NearestCases(np.ones((3, 4))).search(np.ones((1, 4)), 0),
        lambda: NearestCases(np.ones((3, 4))).search(np.ones((1, 4)), 1, np.ones(2, bool)),
        lambda: NearestCases(np.ones((3, 4))).search(np.ones((1, 4)), 1, np.array([0, 1, 2])),
    ],
)
def test_what_cannot_be_searched_is_refused(job):
    with pytest.raises(ValueError, match=r"\."):
        job()
