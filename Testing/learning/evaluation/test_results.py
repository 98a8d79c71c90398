from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.learning.evaluation.results import (
    FILE_NAME,
    ClickScore,
    ResumeLog,
    Run,
    StructureResult,
    never_trained_on,
)
from Testing.learning.small_evaluations import a_result, a_run

IDENTITY = {"model": "abc", "options": {"clicks": 3, "seed": 0}}
FIRST = a_result("made", "1", a_run("model", "model", 0.1, 0.2, 0.3))
SECOND = a_result("made", "1", a_run("model", "model", 0.4, 0.5, 0.6, failure="burst"), label=2)


@pytest.fixture
def a_folder(tmp_path):
    finished = ResumeLog(tmp_path, IDENTITY)
    finished.begin("made/1:00", [1, 2])
    finished.add("made/1:00", FIRST)
    return tmp_path


def test_what_was_finished_is_there_again(a_folder):
    finished = ResumeLog(a_folder, IDENTITY)
    assert finished.results("made/1:00") == [FIRST]
    assert finished.labels("made/1:00") == [1, 2]
    assert finished.missing("made/1:00", [1, 2]) == [2]
    assert not finished.replaced


def test_it_goes_on_where_it_was(a_folder):
    ResumeLog(a_folder, IDENTITY).add("made/1:00", SECOND)
    assert ResumeLog(a_folder, IDENTITY).results("made/1:00") == [FIRST, SECOND]


def test_a_changed_case_is_another_case(a_folder):
    finished = ResumeLog(a_folder, IDENTITY)
    assert finished.labels("made/1:ff") is None
    assert finished.results("made/1:ff") == []


@pytest.mark.parametrize("other", [{"model": "abd"}, {"options": {"clicks": 4, "seed": 0}}, {"more": 1}])
def test_results_of_another_evaluation_are_not_used(a_folder, other):
    finished = ResumeLog(a_folder, {**IDENTITY, **other})
    assert finished.replaced
    assert finished.results("made/1:00") == []


def test_restarting_forgets_all(a_folder):
    assert ResumeLog(a_folder, IDENTITY, restart=True).results("made/1:00") == []
    assert ResumeLog(a_folder, IDENTITY).results("made/1:00") == []


@pytest.mark.parametrize("torn", ['{"key": "made/1:00", "resu', "\x00\x00", '{"key"'])
def test_a_line_torn_by_a_crash_is_dropped_and_writing_goes_on_behind_the_last_whole_one(a_folder, torn):
    with (a_folder / FILE_NAME).open("a") as file:
        file.write(torn)
    ResumeLog(a_folder, IDENTITY).add("made/1:00", SECOND)
    assert ResumeLog(a_folder, IDENTITY).results("made/1:00") == [FIRST, SECOND]


def test_a_full_disk_is_said_in_plain_words_and_what_was_written_stays(a_folder, monkeypatch):
    finished = ResumeLog(a_folder, IDENTITY)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", _no_space)
        with pytest.raises(OutputError, match="No space left.*goes on where it was"):
            finished.add("made/1:00", SECOND)
    assert ResumeLog(a_folder, IDENTITY).results("made/1:00") == [FIRST]


def _no_space(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


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


def test_datasets_that_are_not_in_the_record_were_never_trained_on():
    assert never_trained_on({"steps": 3, "datasets": ["a", "b"]}, ["a", "c", "d"]) == ["c", "d"]


def test_what_a_model_was_trained_from_or_distilled_from_counts_too():
    record = {"datasets": ["a"], "from": {"file": "x", "training": {"datasets": ["b"], "from": None}}}
    assert never_trained_on(record, ["a", "b", "c"]) == ["c"]
    assert never_trained_on({"datasets": ["a"], "teacher": {"training": {"datasets": ["c"]}}}, ["a", "b", "c"]) == ["b"]


def test_of_a_record_without_datasets_nothing_is_known():
    assert never_trained_on({"steps": 0}, ["a"]) is None
    assert never_trained_on({"steps": 0, "from": {"training": {}}}, ["a"]) is None
