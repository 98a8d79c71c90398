from __future__ import annotations

import numpy as np

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.learning.confidence_connected import ConfidenceConnected
from Testing.learning.test_clicked_crop import click_at


def a_dumbbell() -> tuple[Volume, np.ndarray]:
    """Two equally bright boxes joined by a bridge, in noise."""
    truth = np.zeros((30, 30, 60), bool)
    truth[8:22, 8:22, 5:22] = truth[8:22, 8:22, 38:55] = truth[13:17, 13:17, 22:38] = True
    array = np.where(truth, 500.0, 0.0) + np.random.default_rng(0).normal(0, 20, truth.shape)
    return Volume(array.astype(np.float32), np.eye(4)), truth


def test_it_cuts_between_clicks_of_unlike_sign_where_intensities_are_alike():
    volume, _ = a_dumbbell()
    mask = ConfidenceConnected().segment(
        volume, [click_at(volume, 15, 15, 13), click_at(volume, 15, 15, 46, positive=False)]
    )
    assert mask[10:20, 10:20, 8:20].mean() > 0.9
    assert not mask[:, :, 31:].any()


def test_it_narrows_its_range_when_it_leaks_to_the_border():
    # A bright box on a ground whose brightness grows until, at the border, it is nearly the box's.
    ground = np.broadcast_to(np.linspace(0, 90, 40)[:, None, None], (40, 40, 40))
    array = np.array(ground + np.random.default_rng(0).normal(0, 5, ground.shape), np.float32)
    array[12:22, 12:28, 12:28] = np.random.default_rng(1).normal(100, 25, (10, 16, 16))
    volume = Volume(array, np.eye(4))
    clicks = [click_at(volume, 17, 20, 20)]
    wide = ConfidenceConnected(multipliers=(4.0,), smoothing=1).segment(volume, clicks)
    careful = ConfidenceConnected(multipliers=(4.0, 2.0, 1.0), smoothing=1).segment(volume, clicks)
    assert wide[-1].mean() > 0.5
    assert careful[-1].mean() < 0.1


def test_a_part_without_a_positive_click_is_dropped_and_holes_are_filled():
    array = np.random.default_rng(0).normal(0, 3, (30, 30, 30)).astype(np.float32)
    array[8:22, 8:22, 8:22] += 300
    array[14:16, 14:16, 14:16] = 0
    volume = Volume(array, np.eye(4))
    mask = ConfidenceConnected().segment(volume, [click_at(volume, 10, 10, 10)])
    assert mask[14:16, 14:16, 14:16].all()
