from __future__ import annotations

import torch

from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures
from MemorizingSAM3DLib.engine.recall.surroundings import both_looks, closer_grid
from Testing.engine.phantoms import ball, ct_of
from Testing.engine.recall.small_recalls import a_predictor

GRID = CropGrid((1.0, 2.0, 3.0), 3.0, 64)


def test_the_close_look_is_about_the_same_place_as_far_as_the_network_knows_such_voxels():
    assert closer_grid(GRID, (0.5, 6.0)) == CropGrid((1.0, 2.0, 3.0), 1.5, 64)
    assert closer_grid(GRID, (2.0, 6.0)).spacing == 2.0
    assert closer_grid(CropGrid((0.0, 0.0, 0.0), 1.5, 64), (1.5, 1.5)).spacing == 1.5


def test_both_looks_are_kept_whole():
    wide, close = (ImageFeatures(torch.full((1, 3, 2, 2, 2), v), (torch.full((1, 4, 8, 8, 8), v),)) for v in (1.0, 2.0))
    both = both_looks(wide, close)
    assert both.embedding.shape == (1, 6, 2, 2, 2) and both.embedding[0, :, 0, 0, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert [float(skip.mean()) for skip in both.skips] == [1.0, 2.0]


def test_a_place_that_was_looked_at_is_not_encoded_again_unless_nothing_is_kept(tmp_path):
    predictor = a_predictor(tmp_path)
    predictor.set_volume(ct_of(ball(12), (44, 44, 44), 2.0)[0])
    kept = predictor.surroundings(GRID)
    count = predictor.encodes
    assert torch.equal(predictor.surroundings(GRID).embedding, kept.embedding)
    assert predictor.encodes == count
    assert torch.equal(predictor.surroundings(GRID, keep=False).embedding, kept.embedding)
    assert predictor.encodes > count
