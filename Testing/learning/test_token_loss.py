from __future__ import annotations

import torch

from MemorizingSAM3DLib.learning.objective import ClickObjective, ClickOptions
from MemorizingSAM3DLib.learning.token_loss import TokenView
from Testing.learning.small_trainings import a_batch, a_network


def decoded(network, view=None):
    batch = a_batch(0)
    coords, labels = torch.tensor([[[9.0, 5.0, 20.0]]]), torch.tensor([[1]])
    if view is None:
        return network.decode(network.encode(batch.images), coords, labels)
    with view.watching():
        return network.decode(network.encode(batch.images), coords, labels)


def test_the_tokens_mask_has_a_logit_for_each_image_token_and_gradients_reach_the_transformer():
    network = a_network()
    view = TokenView(network)
    decoded(network, view)
    assert view.logits.shape == (1, 1, *(network.config.grid,) * 3)
    view.logits.square().sum().backward()
    blocks = [p.grad for name, p in network.image_encoder.blocks.named_parameters() if name.endswith("qkv.weight")]
    assert blocks and all(gradient is not None and gradient.any() for gradient in blocks)
    assert all(p.grad is None for p in network.mask_decoder.upscaling.parameters())  # the stem has no say in it


def test_watching_changes_no_logits_and_leaves_nothing_behind():
    network = a_network().eval()
    view = TokenView(network)
    assert torch.equal(decoded(network, view), decoded(network))
    kept = view.logits
    decoded(network)
    assert view.logits is kept
    assert not network.mask_decoder.transformer._forward_hooks


def test_the_target_of_a_token_is_the_share_of_the_structure_in_it():
    network = a_network()
    view = TokenView(network)
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
