from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.learning.training.losses import AuxiliaryTokenLoss, DiceCrossEntropy, SoftDice
from MemorizingSAM3DLib.learning.training.objective import ClickObjective, ClickOptions
from Testing.learning.small_trainings import a_batch, a_network


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


def decoded(network, view=None):
    batch = a_batch(0)
    coords, labels = torch.tensor([[[9.0, 5.0, 20.0]]]), torch.tensor([[1]])
    if view is None:
        return network.decode(network.encode(batch.images), coords, labels)
    with view.watching():
        return network.decode(network.encode(batch.images), coords, labels)


def test_the_tokens_mask_has_a_logit_for_each_image_token_and_gradients_reach_the_transformer():
    network = a_network()
    view = AuxiliaryTokenLoss(network)
    decoded(network, view)
    assert view.logits.shape == (1, 1, *(network.config.grid,) * 3)
    view.logits.square().sum().backward()
    blocks = [p.grad for name, p in network.image_encoder.blocks.named_parameters() if name.endswith("qkv.weight")]
    assert blocks and all(gradient is not None and gradient.any() for gradient in blocks)
    assert all(p.grad is None for p in network.mask_decoder.upscaling.parameters())  # the stem has no say in it


def test_watching_changes_no_logits_and_leaves_nothing_behind():
    network = a_network().eval()
    view = AuxiliaryTokenLoss(network)
    assert torch.equal(decoded(network, view), decoded(network))
    kept = view.logits
    decoded(network)
    assert view.logits is kept
    assert not network.mask_decoder.transformer._forward_hooks


def test_the_target_of_a_token_is_the_share_of_the_structure_in_it():
    network = a_network()
    view = AuxiliaryTokenLoss(network)
    decoded(network, view)
    m, g = network.config.output_size, network.config.grid
    targets = torch.zeros(1, 1, m, m, m)
    step = m // g
    targets[:, :, :step, :step, : step // 2] = 1
    pooled = view.target(targets)
    assert pooled[0, 0, 0, 0, 0] == 0.5 and pooled.sum() == 0.5


def test_a_token_loss_is_added_with_its_weight():
    losses = {}
    for weight in (0.0, 1.0, 2.0):
        objective = ClickObjective(a_network(), ClickOptions(1, 0, 8, 0, token_loss=weight), 0)
        losses[weight] = objective(a_batch(0), 0)[0].item()
    assert losses[1.0] > losses[0.0]
    assert abs((losses[2.0] - losses[0.0]) - 2 * (losses[1.0] - losses[0.0])) < 1e-5
