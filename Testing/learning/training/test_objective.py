from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.learning.training.objective import (
    Batch,
    ClickObjective,
    ClickOptions,
    initial_logits,
    mean_dice,
)
from Testing.learning.small_trainings import a_batch, a_network

FIRST = ClickOptions(clicks=1, warm_start=0, initial_mask=0)


def attended(objective: ClickObjective, batch: Batch, monkeypatch, step: int = 0) -> list[tuple]:
    """(coords, labels, previous logits) of every decoding."""
    seen: list[tuple] = []
    decode = objective.network.decode
    monkeypatch.setattr(objective.network, "decode", lambda *given: seen.append(given[1:]) or decode(*given))
    objective(batch, step)
    return seen


def test_clicks_are_given_in_voxels_of_the_crop(monkeypatch):
    target = torch.zeros(2, 1, 16, 16, 16)
    target[:, :, 9:12, 3:6, 12:15] = 1
    batch = Batch(torch.randn(2, 1, 32, 32, 32), target, (0, 1))
    for on_device in (False, True):
        objective = ClickObjective(a_network(), ClickOptions(1, 0, 8, 0, on_device), 3)
        coords, labels, _ = attended(objective, batch, monkeypatch)[0]
        assert labels.tolist() == [[1], [1]]
        for i, place in enumerate(coords[:, 0]):
            voxel = ((place + 0.5) / 2).floor().long().tolist()
            assert target[i, 0][tuple(voxel)] == 1


def test_each_decoding_hears_one_click_more_and_the_last_logits(monkeypatch):
    objective = ClickObjective(a_network(), ClickOptions(clicks=3, warm_start=0, initial_mask=0), 0)
    seen = attended(objective, a_batch(0, 1), monkeypatch)
    assert [coords.shape[1] for coords, _, _ in seen] == [1, 2, 3]
    assert seen[0][2] is None and all(logits is not None for _, _, logits in seen[1:])
    assert torch.equal(seen[2][0][:, :2], seen[1][0])


def test_a_network_without_click_history_hears_the_newest_click_of_each_decoding(monkeypatch):
    objective = ClickObjective(a_network(), ClickOptions(clicks=3, warm_start=0, initial_mask=0), 0)
    all_clicks = attended(objective, a_batch(0), monkeypatch)
    objective.network.config = objective.network.config.with_(click_history=False)
    newest = attended(objective, a_batch(0), monkeypatch)
    assert [coords.shape[1] for coords, _, _ in newest] == [1, 1, 1]
    assert torch.equal(newest[0][0], all_clicks[0][0])


def test_trained_clicks_reach_the_ten_of_the_evaluation(monkeypatch):
    objective = ClickObjective(a_network(), ClickOptions(warm_start=1, initial_mask=0), 0)
    batch = a_batch(0)
    counts = set()
    with monkeypatch.context() as patch:
        decode = objective.network.decode
        seen: list[int] = []
        patch.setattr(objective.network, "decode", lambda *given: seen.append(given[1].shape[1]) or decode(*given))
        for step in range(30):
            seen.clear()
            with torch.no_grad():
                objective(batch, step)
            counts.add(max(seen))
    assert max(counts) == 10 and min(counts) == 3


def test_a_refinement_begins_with_a_mask(monkeypatch):
    objective = ClickObjective(a_network(), ClickOptions(clicks=1, warm_start=0, initial_mask=1), 0)
    assert attended(objective, a_batch(0), monkeypatch)[0][2] is not None


def test_without_the_stem_the_tokens_carry_the_mask_and_every_parameter_has_a_gradient():
    kept, dropped = (ClickObjective(a_network(), replace(FIRST, skip_dropout=share), 0) for share in (0.0, 1.0))
    for objective in (kept, dropped):
        objective(a_batch(0), 0)[0].backward()
    of_stem, of_tokens = (
        [p.grad for n, p in dropped.network.image_encoder.named_parameters() if wanted in n]
        for wanted in ("stem.project", "patch_embed")
    )
    assert all(gradient is not None and not gradient.any() for gradient in of_stem)
    assert any(gradient.any() for gradient in of_tokens)
    assert any(p.grad.any() for n, p in kept.network.image_encoder.named_parameters() if "stem.project" in n)


def test_the_loss_of_a_batch_is_the_mean_over_its_samples():
    # What makes several processes with a share each equal to one with all of it.
    objective = ClickObjective(a_network(), ClickOptions(warm_start=1, warm_clicks=2, initial_mask=1), 5)
    whole, _ = objective(a_batch(4, 5), 2)
    parts = [objective(a_batch(number), 2)[0] for number in (4, 5)]
    torch.testing.assert_close(whole, torch.stack(parts).mean(), rtol=1e-5, atol=1e-6)


def test_a_sample_without_a_target_teaches_nothing():
    batch = a_batch(0, 1)
    targets = batch.targets.clone()
    targets[1] = 0
    objective = ClickObjective(a_network(), FIRST, 0)
    with_empty, _ = objective(Batch(batch.images, targets, batch.numbers), 0)
    alone, _ = objective(a_batch(0), 0)
    torch.testing.assert_close(with_empty, alone / 2, rtol=1e-5, atol=1e-6)


def test_initial_masks_are_damaged_but_related():
    targets = torch.zeros(2, 1, 16, 16, 16)
    targets[:, :, 3:13, 4:12, 3:12] = 1
    overlaps = []
    for seed in range(20):
        generators = [np.random.default_rng([seed, i]) for i in range(2)]
        logits = initial_logits(targets, generators)
        assert logits.shape == targets.shape and logits.isfinite().all()
        for one, target in zip(logits > 0, targets > 0.5, strict=True):
            overlaps.append(float(2 * (one & target).sum() / (one.sum() + target.sum())))
    assert np.mean([overlap < 0.999 for overlap in overlaps]) > 0.9
    assert np.median(overlaps) > 0.4


def test_mean_dice_is_that_of_the_samples():
    targets = torch.zeros(2, 1, 4, 4, 4)
    targets[:, :, :2] = 1
    logits = torch.stack([targets[0], torch.ones(1, 4, 4, 4)]) - 0.5
    assert float(mean_dice(logits, targets)) == pytest.approx((1 + 2 / 3) / 2)
