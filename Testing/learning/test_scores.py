from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.learning.scores import ClickScore, Run, StructureResult
from Testing.learning.small_evaluations import a_result, a_run

UNIT = st.floats(0, 1)
SCORES = st.builds(
    ClickScore,
    st.none() | st.sampled_from(["point", "box", "scribble"]),
    st.none() | st.tuples(*[st.floats(-500, 500)] * 3),
    st.none() | st.booleans(),
    UNIT,
    st.none() | UNIT,
    st.none() | st.floats(0, 1e5),
)
RUNS = st.builds(Run, st.text(min_size=1), st.sampled_from(["model", "own"]), st.lists(SCORES).map(tuple),
                 st.none() | st.text())  # fmt: skip


@given(st.lists(RUNS).map(tuple), st.text(), st.integers(1, 255), st.floats(0, 1e4))
def test_results_survive_a_way_through_json(runs, name, label, millilitres):
    result = StructureResult("a/b", "a", "MR", label, name, millilitres, runs)
    assert StructureResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_a_run_is_found_by_contender_and_by_whose_errors_were_clicked():
    same, own = a_run("ball", "model", 0.1), a_run("ball", "own", 0.2)
    assert a_result("a", "1", a_run("model", "model", 0.5), same, own).run("ball", "own") is own


def test_a_run_without_nsd_has_none():
    assert a_run("model", "model", 0.5, 0.7, nsd=False).nsd is None
    assert a_run("model", "model", 0.5, 0.7).nsd == [0.25, 0.35]
