from __future__ import annotations

import builtins

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.learning.curves import CurveError, draw_curves, require_matplotlib, spread
from Testing.learning.small_evaluations import BallTool, a_result, a_run
from Testing.learning.test_report import a_document

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
