from __future__ import annotations

import builtins
import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.learning.evaluation.report import (
    COLUMNS,
    CurveError,
    cases_csv,
    draw_curves,
    markdown_table,
    replacing,
    require_matplotlib,
    spread,
    versions,
    write_results,
)
from MemorizingSAM3DLib.learning.evaluation.results import ClickScore, Run
from MemorizingSAM3DLib.learning.evaluation.statistics import Summing, summarise
from Testing.learning.small_evaluations import BallTool, a_result, a_run

MODEL = {"name": "small", "file": "small.safetensors", "sha256": "0" * 64, "family": "native", "parameters": 5}


def a_document(results, clicks=3, tools=(), summing=None, **environment):
    how = summing or Summing(clicks)
    facts = {"device": "CPU", "finished": "2026-11-21T10:00:00+00:00", **environment}
    options = {"tolerance_mm": 2.0, "start": how.start, "protocol": how.protocol}
    return {"model": MODEL, "environment": facts, "options": options, **summarise(results, tools, how)}


@pytest.fixture
def some_results():
    runs = (a_run("model", "model", 0.4, 0.6, 0.8), a_run("ball", "model", 0.3, 0.3, 0.5))
    return [a_result("made", "1", *runs), a_result("made", "2", *runs, label=2), a_result("other", "1", *runs)]


def test_there_is_a_line_for_each_structure_contender_and_click(some_results):
    lines = list(csv.DictReader(io.StringIO(cases_csv(some_results))))
    assert tuple(lines[0]) == COLUMNS
    assert len(lines) == 3 * 2 * 3
    assert lines[1] == {
        "case": "made/1", "dataset": "made", "modality": "CT", "label": "1", "structure": "structure 1", "ml": "2.00",
        "contender": "model", "clicks_from": "model", "click": "2", "kind": "point", "positive": "0",
        "r": "1.00", "a": "2.00", "s": "3.00", "dice": "0.6000", "nsd": "0.3000", "milliseconds": "20.0", "failure": "",
    }  # fmt: skip


def test_what_was_not_measured_is_empty():
    run = Run("model", "model", (ClickScore(None, None, None, 1.0, None, None),), 'it, "burst"')
    (line,) = csv.DictReader(io.StringIO(cases_csv([a_result("a", "1", run)])))
    assert [line[name] for name in ("kind", "positive", "r", "nsd", "milliseconds")] == [""] * 5
    assert line["failure"] == 'it, "burst"'


def test_the_table_is_markdown_with_contenders_and_datasets(some_results):
    table = markdown_table(a_document(some_results, tools=[BallTool()]))
    lines = table.splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert all(row.count("|") == rows[0].count("|") for row in rows[:4])
    assert "| **this model** | 0.400 (0.400 to 0.400) | 0.800 (0.800 to 0.800) |" in table
    assert "| Ball | 0.300" in table
    assert "| made | 2 | 0.400 | 0.800 | 0.400 | 0.500 after 3 (Ball) |" in lines


def test_files_are_written(some_results, tmp_path):
    files = write_results(tmp_path, a_document(some_results), some_results)
    assert [file.name for file in files] == ["results.json", "cases.csv", "table.md"]
    assert json.loads(files[0].read_text(encoding="utf-8"))["mean"]["dice"]["3"] == 0.8
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(file.name for file in files)


def test_a_full_disk_leaves_the_results_that_were_there(some_results, tmp_path):
    (tmp_path / "results.json").write_text("earlier", encoding="utf-8")
    with pytest.raises(OutputError, match=r"results\.json cannot be written \(No space left"):
        with replacing(tmp_path / "results.json") as partial:
            partial.write_text("half", encoding="utf-8")
            raise OSError(28, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == "earlier"


def test_versions_name_what_is_missing_too(monkeypatch):
    from importlib import metadata

    def nothing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    assert versions()["numpy"] is not None
    monkeypatch.setattr(metadata, "version", nothing)
    assert versions()["numpy"] is None
    assert versions()["python"] is not None


def test_the_table_tells_losses_prompts_to_a_dice_and_what_was_never_trained_on():
    runs = (a_run("model", "model", 0.4, 0.82, 0.8), a_run("ball", "model", 0.3, 0.3, 0.5))
    results = [a_result("made", "1", *runs), a_result("other", "1", *runs)]
    document = a_document(results, tools=[BallTool()], summing=Summing(3, never_trained=("other",)))
    lines = markdown_table(document).splitlines()
    assert "| **never trained on** | 1 | 0.400 | 0.800 | 0.400 | 0.500 after 3 (Ball) |" in lines
    assert "| made | 50.0% | 0.0% | 2.0 (0%) | - (100%) | - (100%) |" in lines
    assert "| Ball | 0.0% | 0.0% | - (100%) | - (100%) | - (100%) |" in lines


def test_the_table_tells_the_first_prompt_and_the_challenges_figures():
    run = a_run("model", "model", 0.1, 1, 1, 1, 1, 1)
    document = a_document([a_result("made", "1", run)], summing=Summing(6, start="box", protocol="cvpr25"))
    table = markdown_table(document)
    assert "| overall | 1 | 4.000 | 2.000 | 1.000 | 0.500 |" in table
    assert "| CT | 1 | 4.000 | 2.000 | 1.000 | 0.500 |" in table
    assert "The first prompt is a box. Points by the CVPR 2025 challenge's rule" in table


GAP = 0.05


def results(nsd: bool = True):
    return [
        a_result(
            dataset,
            str(case),
            a_run("model", "model", 0.4, 0.6 + case / 10, 0.8, nsd=nsd),
            a_run("ball", "model", 0.2, 0.3, 0.5, nsd=nsd),
            a_run("ball", "own", 0.2, 0.4, 0.6, nsd=nsd),
        )
        for dataset in ("made", "other")
        for case in range(3)
    ]


def pixels(path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)


def test_pictures_show_every_contender_in_its_colour(tmp_path):
    files = draw_curves(a_document(results(), tools=[BallTool()]), tmp_path)
    assert [file.name for file in files] == ["curves.png", "curves_by_dataset.png"]
    for file in files:
        image = pixels(file)[..., :3]
        for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
            assert (np.abs(image - np.array(colour) / 255).max(-1) < 0.02).sum() > 100


def test_without_nsd_there_is_one_panel_less(tmp_path):
    (tmp_path / "with").mkdir()
    draw_curves(a_document(results(), tools=[BallTool()]), tmp_path / "with")
    draw_curves(a_document(results(nsd=False), tools=[BallTool()]), tmp_path)
    wide, narrow = (pixels(folder / "curves.png").shape[1] for folder in (tmp_path / "with", tmp_path))
    assert narrow == pytest.approx(wide / 2, abs=2)


def test_one_click_can_be_drawn(tmp_path):
    document = a_document([a_result("made", "1", a_run("model", "model", 0.5))], clicks=1)
    assert all(file.is_file() for file in draw_curves(document, tmp_path))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_labels_keep_their_order_and_their_distance(values):
    places = spread(values, GAP)
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(places)[order]) >= GAP - 1e-9).all()
    assert max(places) <= 1 + 1e-9


@given(st.lists(st.floats(0, 0.9), min_size=1, max_size=8))
def test_labels_that_have_room_stay_at_their_values(values):
    apart = sorted(values)[:: len(values)]
    assert spread(apart, GAP) == pytest.approx(apart)


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without_matplotlib(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(CurveError, match="pip install matplotlib"):
        require_matplotlib()
