from __future__ import annotations

from MemorizingSAM3DLib.learning.training_record import never_trained_on


def test_datasets_that_are_not_in_the_record_were_never_trained_on():
    assert never_trained_on({"steps": 3, "datasets": ["a", "b"]}, ["a", "c", "d"]) == ["c", "d"]


def test_what_a_model_was_trained_from_or_distilled_from_counts_too():
    record = {"datasets": ["a"], "from": {"file": "x", "training": {"datasets": ["b"], "from": None}}}
    assert never_trained_on(record, ["a", "b", "c"]) == ["c"]
    assert never_trained_on({"datasets": ["a"], "teacher": {"training": {"datasets": ["c"]}}}, ["a", "b", "c"]) == ["b"]


def test_of_a_record_without_datasets_nothing_is_known():
    assert never_trained_on({"steps": 0}, ["a"]) is None
    assert never_trained_on({"steps": 0, "from": {"training": {}}}, ["a"]) is None
