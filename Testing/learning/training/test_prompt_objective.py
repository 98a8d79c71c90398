from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from MemorizingSAM3DLib.engine.networks.prompt_maps import PADDING, POINT_IN
from MemorizingSAM3DLib.learning.training.objective import Batch
from MemorizingSAM3DLib.learning.training.prompt_objective import PromptObjective, PromptOptions, mask_loss
from Testing.learning.small_trainings import a_full_grid_network, a_prompted_batch

ONCE = PromptOptions(rounds=1, warm_start=0, initial_mask=0, skip_dropout=0, point_starts=True)


def an_objective(seed: int = 0, **options) -> PromptObjective:
    return PromptObjective(a_full_grid_network(), replace(ONCE, **options), seed)


@pytest.fixture(scope="module")
def two_samples() -> Batch:
    return a_prompted_batch(0, 1)


def attended(objective: PromptObjective, batch: Batch, monkeypatch, step: int = 0) -> list[tuple]:
    """(kinds, previous logits, whether gradients are kept) of every decoding."""
    seen: list[tuple] = []
    decode = objective.network.decode_rated

    def watched(features, coords, kinds, logits, **more):
        seen.append((kinds, logits, torch.is_grad_enabled()))
        return decode(features, coords, kinds, logits, **more)

    with monkeypatch.context() as patch:
        patch.setattr(objective.network, "decode_rated", watched)
        objective(batch, step)
    return seen


def test_every_target_of_every_crop_is_prompted_and_hears_more_each_round(two_samples, monkeypatch):
    seen = attended(an_objective(rounds=3), two_samples, monkeypatch)
    assert [kinds.shape[0] for kinds, _, _ in seen] == [4, 4, 4]
    assert seen[0][0].tolist() == [[POINT_IN]] * 4 and seen[0][1] is None
    counts = [(kinds != PADDING).sum(1) for kinds, _, _ in seen]
    assert (counts[1] >= counts[0]).all() and counts[2].sum() > counts[1].sum() > counts[0].sum()
    assert all(logits.shape == (4, 1, 32, 32, 32) and not logits.requires_grad for _, logits, _ in seen[1:])


def test_some_batches_begin_with_prompts_without_gradients(two_samples, monkeypatch):
    objective = an_objective(warm_start=1, warm_rounds=3)
    lengths = set()
    for step in range(5):
        kept = [gradients for _, _, gradients in attended(objective, two_samples, monkeypatch, step)]
        assert kept == [False] * (len(kept) - 1) + [True]
        lengths.add(len(kept))
    assert min(lengths) >= 2 and max(lengths) <= 4 and len(lengths) > 1


def test_a_refinement_begins_with_a_mask(two_samples, monkeypatch):
    kinds, logits, _ = attended(an_objective(initial_mask=1), two_samples, monkeypatch)[0]
    assert logits is not None and (logits.flatten(1).abs().amax(1) > 0).all()
    some = [attended(an_objective(seed, initial_mask=0.5), two_samples, monkeypatch)[0][1] for seed in range(4)]
    begun = torch.cat([logits.flatten(1).abs().amax(1) > 0 for logits in some if logits is not None])
    assert begun.any() and not begun.all()


def test_every_parameter_has_a_gradient(two_samples):
    """In whatever way a step goes: several processes wait for each of them."""
    for options in ({}, {"skip_dropout": 1}, {"initial_mask": 1, "warm_start": 1, "warm_rounds": 1}):
        objective = an_objective(**options)
        objective(two_samples, 0)[0].backward()
        for name, parameter in objective.network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
        nought = {name for name, p in objective.network.named_parameters() if not p.grad.any()}
        if not options:
            assert nought == set()


def test_without_the_stem_nothing_is_learned_in_it_but_the_tokens_are(two_samples):
    dropped = an_objective(skip_dropout=1)
    dropped(two_samples, 0)[0].backward()
    gradients = {name: p.grad for name, p in dropped.network.image_encoder.named_parameters()}
    assert not any(gradient.any() for name, gradient in gradients.items() if "stem.project" in name)
    assert any(gradient.any() for name, gradient in gradients.items() if "patch_embed" in name)


def test_the_stem_is_dropped_for_a_share_of_the_crops_alone(two_samples, monkeypatch):
    objective, seen = an_objective(skip_dropout=0.5), []
    decode = objective.network.decode_rated
    monkeypatch.setattr(
        objective.network, "decode_rated", lambda features, *a, **k: seen.append(features) or decode(features, *a, **k)
    )
    for number in range(8):
        with torch.no_grad():
            objective(replace(two_samples, numbers=(2 * number, 2 * number + 1)), 0)
    kept = torch.stack([features.skips[0].flatten(1).any(1) for features in seen])
    detailed = torch.stack([features.detail.flatten(1).any(1) for features in seen])
    assert torch.equal(kept, detailed)
    assert 3 < kept.sum() < 13
    assert all(torch.equal(features.image, two_samples.images) for features in seen)  # prompts see the crop


def test_the_loss_of_a_batch_is_the_mean_over_its_samples(two_samples):
    # What makes several processes with a share each equal to one with all of it.
    objective = an_objective(5, rounds=2, warm_start=1, warm_rounds=1, initial_mask=0.5, skip_dropout=0.5,
                             point_starts=False)  # fmt: skip
    whole, figures = objective(two_samples, 2)
    parts = [objective(Batch(two_samples.images[i : i + 1], two_samples.targets[i : i + 1], (i,)), 2) for i in range(2)]
    torch.testing.assert_close(whole, torch.stack([loss for loss, _ in parts]).mean(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(figures, torch.stack([found for _, found in parts]).mean(0), rtol=1e-4, atol=1e-4)
    assert figures.shape == (len(objective.names),)


def test_the_loss_on_tokens_is_added_with_its_weight(two_samples):
    none, half, whole = (an_objective(token_loss=weight)(two_samples, 0)[0].detach() for weight in (0, 0.5, 1))
    assert whole > none
    torch.testing.assert_close(half, (none + whole) / 2)


def test_what_was_chosen_is_told_for_the_models_record():
    facts = an_objective(token_loss=0.4).facts
    assert facts["token_loss"] == 0.4 and facts["rounds"] == 1 and facts["point_starts"] is True


# The loss of a mask


def a_target(edge: int = 32, side: int = 6) -> torch.Tensor:
    target = torch.zeros(1, 1, edge, edge, edge)
    target[..., 2 : 2 + side, 3 : 3 + side, 4 : 4 + side] = 1
    return target


@pytest.mark.parametrize("edge", [4, 16, 32])
def test_a_sure_mask_costs_nothing_when_right_and_much_when_wrong(edge):
    target = a_target(edge, max(1, edge // 8))
    right, unsure, wrong = (mask_loss(scale * (2 * target - 1), target) for scale in (20, 0, -20))
    assert right < 1e-3 < unsure < wrong


def test_a_small_structure_that_is_missed_costs_much():
    small = a_target(side=2)
    logits = torch.full_like(small, -6.0)
    assert mask_loss(logits, small) > 0.8  # a plain mean of the cross-entropy would be 0.004


def test_near_errors_weigh_more_than_far_ones():
    target = a_target()
    logits = 8 * (2 * target - 1)
    near, far = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    losses = []
    for place, x in (((8, 4, 5), near), ((25, 25, 25), far)):
        mask_loss(x, target).backward()
        losses.append(float(x.grad[(0, 0, *place)]))
    assert losses[0] > 5 * losses[1] > 0


def test_it_is_the_mean_over_the_batch():
    targets = torch.cat([a_target(), a_target(side=3)])
    logits = torch.randn(2, 1, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    alone = [mask_loss(logits[i : i + 1], targets[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(mask_loss(logits, targets), torch.stack(alone).mean())
