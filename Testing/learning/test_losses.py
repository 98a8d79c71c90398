from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.learning.losses import DiceCrossEntropy, SoftDice


def a_target(edge: int, size: int = 16) -> torch.Tensor:
    target = torch.zeros(1, 1, size, size, size)
    target[:, :, 4 : 4 + edge, 4 : 4 + edge, 4 : 4 + edge] = 1
    return target


def logits_of(mask: torch.Tensor, certainty: float = 8.0) -> torch.Tensor:
    return (2 * mask - 1) * certainty


def test_a_right_mask_costs_almost_nothing_and_a_wrong_one_much():
    target, loss = a_target(6), DiceCrossEntropy()
    assert loss(logits_of(target), target) < 0.01
    assert loss(logits_of(1 - target), target) > 5


def test_dice_alone_lies_between_nothing_and_one_whatever_the_size():
    for edge in (2, 6):
        target, loss = a_target(edge), SoftDice()
        assert loss(logits_of(target), target) < 0.01
        assert 0.95 < loss(logits_of(1 - target), target) <= 1
        assert loss(logits_of(1 - target), target, torch.zeros(1)) == 0


@pytest.mark.parametrize("loss", [DiceCrossEntropy(), SoftDice()])
def test_better_overlap_costs_less(loss):
    target = a_target(6)
    costs = [float(loss(logits_of(target.roll(shift, 2)), target)) for shift in range(6)]
    assert costs == sorted(costs)


def test_missing_a_structure_of_a_thousandth_of_the_crop_is_not_lost_in_the_mean():
    target, loss = a_target(2, size=20), DiceCrossEntropy()
    empty = logits_of(torch.zeros_like(target))
    plain = torch.nn.functional.binary_cross_entropy_with_logits(empty, target)
    assert loss(empty, target) > 20 * plain


def test_background_near_the_target_weighs_more_than_far_from_it():
    target = a_target(4)
    logits = torch.full_like(target, -0.5, requires_grad=True)
    DiceCrossEntropy()(logits, target).backward()
    assert logits.grad is not None
    near, far = logits.grad[0, 0, 8, 5, 5], logits.grad[0, 0, 14, 14, 14]
    assert near > 3 * far > 0


@pytest.mark.parametrize("value", [-1e4, 0.0, 1e4])
def test_an_extreme_logit_and_an_empty_target_give_finite_gradients(value):
    for target in (a_target(6), torch.zeros(1, 1, 16, 16, 16)):
        logits = torch.full_like(target, value, requires_grad=True)
        cost = DiceCrossEntropy()(logits, target)
        cost.backward()
        assert cost.isfinite() and logits.grad is not None and logits.grad.isfinite().all()


def test_half_precision_logits_are_judged_in_full():
    target = a_target(6)
    logits = torch.randn(1, 1, 16, 16, 16).bfloat16()
    torch.testing.assert_close(DiceCrossEntropy()(logits, target), DiceCrossEntropy()(logits.float(), target))


def test_samples_of_a_batch_weigh_alike_whatever_their_structures_volume():
    small, large, loss = a_target(2), a_target(10), DiceCrossEntropy()
    wrong_small = loss(torch.cat([logits_of(1 - small), logits_of(large)]), torch.cat([small, large]))
    wrong_large = loss(torch.cat([logits_of(small), logits_of(1 - large)]), torch.cat([small, large]))
    assert 0.5 < wrong_small / wrong_large < 2


def test_a_sample_of_weight_zero_costs_nothing_and_teaches_nothing():
    targets = torch.cat([a_target(6), a_target(3)])
    logits = torch.randn(targets.shape).requires_grad_()
    cost = DiceCrossEntropy()(logits, targets, torch.tensor([1.0, 0.0]))
    cost.backward()
    assert logits.grad is not None and logits.grad[0].any() and not logits.grad[1].any()
    torch.testing.assert_close(2 * cost, DiceCrossEntropy()(logits[:1], targets[:1]))
