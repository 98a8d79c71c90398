from __future__ import annotations

import builtins

import pytest

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.learning.training.log import PlottingError, TrainingLog, draw_curves, read_log

FIGURES = {"seconds": 1.5, "loss": 0.25, "dice_first": 0.5, "dice_last": 0.75, "learning_rate": 1e-4}


def steps(path) -> list[float]:
    return [line["step"] for line in read_log(path)]


@pytest.fixture
def a_log(tmp_path):
    log = TrainingLog(tmp_path / "log.csv", 0)
    for step in range(1, 6):
        log.add(step, {**FIGURES, "loss": 1 / step})
    return tmp_path / "log.csv"


def test_a_log_has_a_line_a_step(a_log):
    assert a_log.read_text().splitlines()[0] == "step,seconds,loss,dice_first,dice_last,learning_rate"
    assert steps(a_log) == [1, 2, 3, 4, 5]
    assert read_log(a_log)[3]["loss"] == 0.25
    assert read_log(a_log)[0]["learning_rate"] == 1e-4


def test_lines_after_the_step_gone_on_from_are_taken_again(a_log):
    log = TrainingLog(a_log, 3)
    assert steps(a_log) == [1, 2, 3]
    log.add(4, FIGURES)
    assert steps(a_log) == [1, 2, 3, 4]


def test_a_run_begun_anew_begins_its_log_anew(a_log):
    log = TrainingLog(a_log, 0)
    log.add(1, FIGURES)
    assert steps(a_log) == [1]
    assert a_log.read_text().splitlines()[0].startswith("step,seconds")


def test_a_line_torn_by_a_crash_is_removed(a_log):
    with a_log.open("a") as file:
        file.write("6,2.5,0.1")
    TrainingLog(a_log, 9).add(6, FIGURES)
    assert steps(a_log) == [1, 2, 3, 4, 5, 6]


def test_a_log_of_an_earlier_version_is_gone_on_with_in_its_own_columns(tmp_path):
    (tmp_path / "log.csv").write_text("step,seconds,loss\n1,2.0,0.5\n")
    TrainingLog(tmp_path / "log.csv", 1).add(2, FIGURES)
    assert (tmp_path / "log.csv").read_text().split() == ["step,seconds,loss", "1,2.0,0.5", "2,1.5,0.25"]


def test_lines_that_cannot_be_written_wait_for_the_next_attempt(a_log):
    log = TrainingLog(a_log, 5)
    hidden = a_log.with_name("hidden")
    a_log.rename(hidden)
    a_log.mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        log.add(6, FIGURES)
    a_log.rmdir()
    hidden.rename(a_log)
    log.add(7, FIGURES)
    assert steps(a_log) == [1, 2, 3, 4, 5, 6, 7]


def test_what_is_no_log_is_not_overwritten(tmp_path):
    (tmp_path / "log.csv").write_text("name,age\n1,42\n")
    with pytest.raises(OutputError, match="no log of a training"):
        TrainingLog(tmp_path / "log.csv", 3)
    assert (tmp_path / "log.csv").read_text() == "name,age\n1,42\n"


def test_curves_are_drawn_from_any_log(a_log, tmp_path):
    (tmp_path / "short.csv").write_text("step,loss\n1,0.5\n")
    for log in (a_log, tmp_path / "short.csv"):
        picture = log.with_suffix(".png")
        draw_curves(log, picture)
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 5000


def test_without_matplotlib_the_user_is_told_what_to_install(a_log, tmp_path, monkeypatch):
    plain = builtins.__import__

    def refuse(name: str, *rest: object):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PlottingError, match="pip install matplotlib"):
        draw_curves(a_log, tmp_path / "curves.png")
