from __future__ import annotations

import pytest

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.learning.finished_structures import FILE_NAME, FinishedStructures
from Testing.learning.small_evaluations import a_result, a_run

IDENTITY = {"model": "abc", "options": {"clicks": 3, "seed": 0}}
FIRST = a_result("made", "1", a_run("model", "model", 0.1, 0.2, 0.3))
SECOND = a_result("made", "1", a_run("model", "model", 0.4, 0.5, 0.6, failure="burst"), label=2)


@pytest.fixture
def a_folder(tmp_path):
    finished = FinishedStructures(tmp_path, IDENTITY)
    finished.begin("made/1:00", [1, 2])
    finished.add("made/1:00", FIRST)
    return tmp_path


def test_what_was_finished_is_there_again(a_folder):
    finished = FinishedStructures(a_folder, IDENTITY)
    assert finished.results("made/1:00") == [FIRST]
    assert finished.labels("made/1:00") == [1, 2]
    assert finished.missing("made/1:00", [1, 2]) == [2]
    assert not finished.replaced


def test_it_goes_on_where_it_was(a_folder):
    FinishedStructures(a_folder, IDENTITY).add("made/1:00", SECOND)
    assert FinishedStructures(a_folder, IDENTITY).results("made/1:00") == [FIRST, SECOND]


def test_a_changed_case_is_another_case(a_folder):
    finished = FinishedStructures(a_folder, IDENTITY)
    assert finished.labels("made/1:ff") is None
    assert finished.results("made/1:ff") == []


@pytest.mark.parametrize("other", [{"model": "abd"}, {"options": {"clicks": 4, "seed": 0}}, {"more": 1}])
def test_results_of_another_evaluation_are_not_used(a_folder, other):
    finished = FinishedStructures(a_folder, {**IDENTITY, **other})
    assert finished.replaced
    assert finished.results("made/1:00") == []


def test_restarting_forgets_all(a_folder):
    assert FinishedStructures(a_folder, IDENTITY, restart=True).results("made/1:00") == []
    assert FinishedStructures(a_folder, IDENTITY).results("made/1:00") == []


@pytest.mark.parametrize("torn", ['{"key": "made/1:00", "resu', "\x00\x00", '{"key"'])
def test_a_line_torn_by_a_crash_is_dropped_and_writing_goes_on_behind_the_last_whole_one(a_folder, torn):
    with (a_folder / FILE_NAME).open("a") as file:
        file.write(torn)
    FinishedStructures(a_folder, IDENTITY).add("made/1:00", SECOND)
    assert FinishedStructures(a_folder, IDENTITY).results("made/1:00") == [FIRST, SECOND]


def test_a_full_disk_is_said_in_plain_words_and_what_was_written_stays(a_folder, monkeypatch):
    finished = FinishedStructures(a_folder, IDENTITY)
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", _no_space)
        with pytest.raises(OutputError, match="No space left.*goes on where it was"):
            finished.add("made/1:00", SECOND)
    assert FinishedStructures(a_folder, IDENTITY).results("made/1:00") == [FIRST]


def _no_space(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")
