from __future__ import annotations

import json

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.predictor import Predictor
from MemorizingSAM3DLib.engine.session import InteractiveSession
from MemorizingSAM3DLib.learning.cases import Case
from MemorizingSAM3DLib.learning.evaluation import (
    LabelResult,
    case_volume,
    evaluate_label,
    summarise,
    write_results,
)
from Testing.engine.click_networks import BrightnessNetwork


@pytest.fixture
def a_case():
    """Two bright blocks in a dark CT; the structures are those blocks."""
    image = np.full((40, 36, 32), -900, np.int16)
    labels = np.zeros(image.shape, np.uint8)
    labels[5:17, 6:20, 8:20] = 1
    labels[25:36, 20:32, 12:26] = 2
    image[labels > 0] = 300
    return Case("made/up", "made", "CT", image, labels, (2.0, 2.0, 2.5), {1: "left block", 2: "right block"})


def test_a_structure_that_stands_out_is_found_in_a_few_clicks(a_case):
    session = InteractiveSession(Predictor(BrightnessNetwork(reach=0.2)))
    session.set_image(case_volume(a_case))

    result = evaluate_label(session, a_case, 2, clicks=4)

    assert len(result.dice) == 4
    assert result.dice[-1] > 0.85
    assert result.millilitres == pytest.approx((a_case.labels == 2).sum() * 10 / 1000)


def test_every_structure_starts_from_an_empty_mask(a_case):
    session = InteractiveSession(Predictor(BrightnessNetwork(reach=0.2)))
    session.set_image(case_volume(a_case))
    alone = evaluate_label(session, a_case, 1, clicks=2)
    evaluate_label(session, a_case, 2, clicks=2)

    assert evaluate_label(session, a_case, 1, clicks=2).dice == alone.dice


def a_result(dataset: str, *dice: float) -> LabelResult:
    return LabelResult(f"{dataset}/1", dataset, "label", 2.0, dice, (10.0, 20.0, 30.0))


def test_the_mean_weighs_every_dataset_alike_and_keeps_maxima_apart():
    results = [a_result("many", 0.2, 0.9, 0.4), a_result("many", 0.2, 0.9, 0.4), a_result("few", 0.8, 0.8, 0.8)]

    summary = summarise(results, clicks=3)

    assert summary["mean"]["dice"] == {"1": 0.5, "3": 0.6}
    assert summary["mean"]["dice_max"] == {"1": 0.5, "3": pytest.approx(0.85)}
    assert summary["datasets"]["many"]["labels"] == 2


def test_results_are_written_as_json_and_csv(tmp_path):
    results = [a_result("few", 0.8, 0.7, 0.9)]

    write_results(tmp_path, summarise(results, 3), results, {"model": "shipped"})

    assert json.loads((tmp_path / "results.json").read_text())["mean"]["dice"]["3"] == 0.9
    assert (tmp_path / "cases.csv").read_text().splitlines()[1] == "few/1,few,label,2.00,0.8000,0.7000,0.9000"
