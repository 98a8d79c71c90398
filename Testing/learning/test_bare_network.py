from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.predictor import Predictor
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.learning.bare_network import BareNetwork
from MemorizingSAM3DLib.learning.evaluation import EvaluationOptions, case_volume, evaluate_structure, tool_of_session
from Testing.engine.click_networks import BrightnessNetwork
from Testing.learning.small_evaluations import two_blocks


@pytest.fixture
def a_scan():
    case = two_blocks()
    return case, case_volume(case), np.ascontiguousarray((case.labels == 1).transpose(2, 1, 0))


def inside(volume, truth) -> Click:
    r, a, s = volume.ijk_to_ras_points(np.argwhere(truth).mean(axis=0)[::-1]).tolist()
    return Click((r, a, s))


def test_the_mask_is_what_the_network_says_of_one_crop(a_scan):
    _, volume, truth = a_scan
    predictor = Predictor(BrightnessNetwork(reach=0.2))
    bare = BareNetwork(predictor, volume, truth)
    mask = bare(inside(volume, truth))
    assert (mask & truth).sum() > 0.6 * truth.sum()
    bare(inside(volume, truth))
    assert predictor.encodes == 1


def test_no_rule_holds_what_was_clicked(a_scan, monkeypatch):
    """A network that does not listen to the second click: in a session the clicked voxel would change all the same."""
    _, volume, truth = a_scan
    predictor = Predictor(BrightnessNetwork(reach=0.2))
    first = inside(volume, truth)
    grid_logits = []
    real = predictor.logits
    monkeypatch.setattr(predictor, "logits", lambda *a: grid_logits[0] if grid_logits else real(*a))
    bare, session = BareNetwork(predictor, volume, truth), tool_of_session(predictor, volume)
    mask = bare(first)
    grid_logits.append(real(bare._grid, [first], None))
    session(first)
    again = Click(first.ras, positive=False)
    assert np.array_equal(bare(again), mask)
    i, j, k = np.rint(volume.ras_to_ijk(first.ras)).astype(int).tolist()
    assert mask[k, j, i] and not session(again)[k, j, i]


def test_a_click_outside_the_crop_changes_nothing(a_scan):
    _, volume, truth = a_scan
    bare = BareNetwork(Predictor(BrightnessNetwork(reach=0.2)), volume, truth)
    mask = bare(inside(volume, truth))
    assert np.array_equal(bare(Click((1e4, 0.0, 0.0))), mask)


def test_an_evaluation_can_be_of_the_network_alone(a_scan):
    case, volume, _ = a_scan
    predictor = Predictor(BrightnessNetwork(reach=0.2))
    result = evaluate_structure(predictor, volume, case, 1, EvaluationOptions(clicks=3, bare=True))
    assert predictor.encodes == 1  # a session looks twice
    assert result.runs[0].dice[-1] > 0.7
