from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures
from MemorizingSAM3DLib.engine.networks.layers import DepthwiseConv3d
from MemorizingSAM3DLib.engine.networks.memory_attention import (
    InteractionConfig,
    MemoryAttention,
    MemoryStack,
    conditioned,
)
from Testing.engine.small_memories import (
    ALL_KINDS,
    CONFIG,
    a_network,
    an_attention,
    an_embedding,
    memories_of,
    positions,
)


@pytest.mark.parametrize(("channels", "hidden"), [(384, 1280), (256, 856), (8, 24)])
def test_the_feed_forward_network_widens_by_ten_thirds_in_whole_eights(channels, hidden):
    assert InteractionConfig(channels, 8).hidden == hidden


def test_it_comes_back_from_json():
    config = InteractionConfig(96, 5, 4, 17, "sparse")
    assert InteractionConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("changes", [{"capacity": 1}, {"capacity": 256}, {"grid": 1}, {"channels": 8}], ids=str)
def test_it_takes_the_ends_of_its_ranges(changes):
    values = InteractionConfig(64, 8).to_dict() | changes
    assert InteractionConfig.from_dict(values).to_dict() == values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": 0}, "capacity = 0, not 1 to 256"),
        ({"capacity": 257}, "capacity = 257, not 1 to 256"),
        ({"capacity": True}, "capacity = True"),
        ({"grid": 0}, "grid = 0"),
        ({"channels": 10**9}, "channels = 1000000000"),
        ({"channels": 64.0}, r"channels = 64\.0"),
        ({"heads": None}, "heads = None"),
        ({"heads": 7}, "no multiple of its 7 heads"),
        ({"kinds": "all"}, "kinds = 'all', not one of both, sparse, dense"),
        ({"kinds": ["both"]}, "kinds = "),
        ({"colour": 3}, "other fields: colour"),
    ],
    ids=str,
)
def test_a_configuration_that_cannot_be_is_refused(changes, message):
    with pytest.raises(CheckpointError, match=message):
        InteractionConfig.from_dict(InteractionConfig(64, 8).to_dict() | changes)


def test_a_missing_field_is_refused():
    values = InteractionConfig(64, 8).to_dict()
    del values["grid"]
    with pytest.raises(CheckpointError, match="other fields: grid"):
        InteractionConfig.from_dict(values)


PUBLISHED_SIZE = 2.84e6  # MAIS, at 384 channels
CELLS = range(CONFIG.grid**3)


def parameters_of(config: InteractionConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in MemoryAttention(config).parameters())


def of_kind(kinds) -> InteractionConfig:
    return InteractionConfig(CONFIG.channels, CONFIG.grid, CONFIG.heads, CONFIG.capacity, kinds)


def forward(attention, memories, embedding=None, **changes) -> torch.Tensor:
    stack = attention.stack(memories)._replace(**changes)
    embedding = an_embedding(attention.config, memories_batch(stack)) if embedding is None else embedding
    return attention(embedding, stack, positions(attention.config))


def memories_batch(stack: MemoryStack) -> int:
    return len((stack.sparse or stack.dense).known)


def close(a, b) -> bool:
    return torch.allclose(a, b, atol=2e-5, rtol=2e-5)


# The size


@pytest.mark.parametrize(("channels", "count"), [(384, 2_840_960), (256, 1_283_672)])
def test_it_has_exactly_this_many_parameters(channels, count):
    assert parameters_of(InteractionConfig(channels, 8)) == count


def test_at_384_channels_it_is_within_one_percent_of_the_papers_size():
    assert parameters_of(InteractionConfig(384, 8)) == pytest.approx(PUBLISHED_SIZE, rel=0.01)


def test_what_hears_one_kind_has_no_parameters_for_the_other():
    both, sparse, dense = (parameters_of(of_kind(kinds)) for kinds in ALL_KINDS)
    shared = sum(
        p.numel() for m in (MemoryAttention(CONFIG).mlp, nn.LayerNorm(CONFIG.channels)) for p in m.parameters()
    )
    assert both == sparse + dense - shared


# Where it starts


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_untrained_it_changes_nothing(kinds):
    torch.manual_seed(3)
    attention = MemoryAttention(of_kind(kinds))
    embedding = an_embedding()
    assert torch.equal(forward(attention, memories_of(attention, 4), embedding), embedding)


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_trained_it_changes_every_cell(kinds):
    embedding = an_embedding()
    attention = an_attention(of_kind(kinds))
    after = forward(attention, memories_of(attention, 4), embedding)
    assert ((after - embedding).abs().amax(1) > 1e-3).all()


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_a_training_reaches_every_parameter(kinds):
    attention = an_attention(of_kind(kinds)).train().requires_grad_(True)
    forward(attention, memories_of(attention, 4)).square().sum().backward()
    still = {name for name, p in attention.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    # A bias of the keys moves all logits of a query alike, which a softmax does not see.
    assert {name for name in still if not name.endswith("k_proj.bias")} == set()


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_a_training_can_leave_the_start(kinds):
    attention = MemoryAttention(of_kind(kinds))
    forward(attention, memories_of(attention, 4)).square().sum().backward()
    moving = {name for name, p in attention.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    last = {"mlp.lin2.weight", "image_to_click.out_proj.weight", "image_to_mask.out_proj.weight"}
    assert moving >= {name for name, _ in attention.named_parameters() if name in last}


def test_a_depthwise_convolution_starts_close_to_doing_nothing():
    torch.manual_seed(0)
    x = an_embedding()
    assert (DepthwiseConv3d(CONFIG.channels)(x) - x).abs().mean() < 0.1 * x.abs().mean()


# What it computes, against the formulas in plain loops


def literally_attended(layer, query, keys, values):
    """One query (C,) on some keys and values (M, C), head by head."""
    q, k, v = layer.q_proj(query), layer.k_proj(keys), layer.v_proj(values)
    width = len(q) // layer.heads
    heads = []
    for head in range(layer.heads):
        own = slice(head * width, (head + 1) * width)
        shares = [((q[own] @ k[n, own]) / width**0.5).exp() for n in range(len(k))]
        heads.append(sum(share * v[n, own] for n, share in enumerate(shares)) / sum(shares))
    return layer.out_proj(torch.cat(heads))


def literally_convolved(conv, tokens):
    """(g^3, C) tokens, with zeros beyond the grid."""
    g = CONFIG.grid
    padded = torch.zeros(g + 2, g + 2, g + 2, tokens.shape[1])
    padded[1:-1, 1:-1, 1:-1] = tokens.reshape(g, g, g, -1)
    result = torch.zeros(g, g, g, tokens.shape[1]) + conv.bias
    for r in range(3):
        for a in range(3):
            for s in range(3):
                result += padded[r : r + g, a : a + g, s : s + g] * conv.weight[:, 0, r, a, s]
    return result.flatten(0, 2)


def literally_from_masks(attention, x, masks, known):
    """masks: N of (g^3, C), the newest last; known: N of (g^3,) bool."""
    queries = literally_convolved(attention.query_conv, attention.image_to_mask_norm(x))
    normed = [attention.mask_norm(mask) * seen[:, None] for mask, seen in zip(masks, known, strict=True)]
    keys = [literally_convolved(attention.key_conv, mask) for mask in normed]
    values = [literally_convolved(attention.value_conv, mask) for mask in normed]
    result = x.clone()
    for cell in CELLS:
        seen = [n for n in range(len(masks)) if known[n][cell]]
        if seen:
            ages = [len(masks) - 1 - n for n in seen]
            key = torch.stack([keys[n][cell] + attention.mask_times[age] for n, age in zip(seen, ages, strict=True)])
            value = torch.stack([values[n][cell] for n in seen])
            result[cell] += literally_attended(attention.image_to_mask, queries[cell], key, value)
    return result


def literally_from_clicks(attention, x, where, tokens, known):
    """tokens: (N, C), the newest last; known: N of bool."""
    seen = [n for n in range(len(tokens)) if known[n]]
    times = torch.stack([attention.click_times[len(tokens) - 1 - n] for n in seen])
    own = tokens[seen]
    timed = own + times
    attended = [literally_attended(attention.click_attention, timed[n], timed, own) for n in range(len(seen))]
    clicks = attention.click_norm(own + torch.stack(attended))
    queries = attention.image_to_click_norm(x) + where
    answers = [literally_attended(attention.image_to_click, query, clicks + times, clicks) for query in queries]
    return x + torch.stack(answers)


def as_tokens(maps):
    return maps[0].flatten(1).T


@pytest.mark.parametrize("kinds", ALL_KINDS)
@pytest.mark.parametrize("hidden", [False, True], ids=["all known", "some hidden"])
def test_it_equals_the_formulas_in_plain_loops(kinds, hidden):
    attention = an_attention(of_kind(kinds))
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(4, CONFIG.channels, generator=generator)
    masks = torch.randn(4, 1, CONFIG.channels, *[CONFIG.grid] * 3, generator=generator)
    token_known = torch.tensor([True, not hidden, True, True])
    mask_known = (torch.rand(4, 1, *[CONFIG.grid] * 3, generator=generator) < 0.6) | (not hidden)
    mask_known[1:, 0, 2, 1, 0] &= not hidden  # a cell that only the oldest knows of
    mask_known[:, 0, 0, 1, 2] &= not hidden  # a cell that none knows of
    memories = [attention.project(tokens[n, None], masks[n], token_known[n, None], mask_known[n]) for n in range(4)]
    embedding = an_embedding()

    x = as_tokens(embedding)
    if kinds != "sparse":
        x = literally_from_masks(attention, x, [as_tokens(mask) for mask in masks], mask_known.flatten(1))
    heard_of = (x != as_tokens(embedding)).any(1, keepdim=True)
    if kinds != "dense":
        x = literally_from_clicks(attention, x, as_tokens(positions()), tokens, token_known)
        heard_of[:] = True
    x = torch.where(heard_of, x + attention.mlp(attention.mlp_norm(x)), x)

    assert heard_of.all() == (kinds != "dense" or not hidden)
    assert close(as_tokens(forward(attention, memories, embedding)), x)


def test_every_cell_hears_of_masks_only_around_itself():
    attention = an_attention(InteractionConfig(16, 5, 2, 5, "dense"))
    masks = an_embedding(attention.config)
    other = masks.clone()
    other[:, :, 0, 2, 4] *= -1
    one, another = (forward(attention, [attention.project(masks[:, :, 0, 0, 0], mask)]) for mask in (masks, other))
    changed = (one != another).any(1)[0].nonzero()
    assert ((changed - torch.tensor([0, 2, 4])).abs() <= 1).all()
    assert len(changed) == 2 * 3 * 2


def test_the_clicks_hear_each_other():
    attention = an_attention(of_kind("sparse"))
    memories = memories_of(attention, 3)
    silenced = an_attention(of_kind("sparse"))
    silenced.click_attention.out_proj.weight.zero_()
    assert not close(forward(attention, memories), forward(silenced, memories))


def test_where_a_cell_lies_matters_to_what_it_hears_of_clicks():
    attention = an_attention(of_kind("sparse"))
    stack, embedding = attention.stack(memories_of(attention, 3)), an_embedding()
    here, there = (attention(embedding, stack, where) for where in (positions(), positions().flip(2)))
    assert not close(here, there)


# What is hidden


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_an_empty_slot_has_no_influence(kinds):
    attention = an_attention(of_kind(kinds))
    stack = attention.stack(memories_of(attention, 4))
    lacking = attention.stack([memory for n, memory in enumerate(memories_of(attention, 4)) if n != 1])
    lacking = lacking._replace(ages=stack.ages[[0, 2, 3]])
    results = []
    for content in (0.0, 3.0, -1e4):
        sparse = stack.sparse and stack.sparse._replace(
            **{name: filled(getattr(stack.sparse, name), 1, content) for name in ("token", "query", "key", "value")},
            known=torch.tensor([[True, False, True, True]]),
        )
        dense = stack.dense and stack.dense._replace(
            key=filled(stack.dense.key, 2, content), value=filled(stack.dense.value, 2, content),
            known=torch.tensor([True, False, True, True]).expand(1, len(CELLS), 4),
        )  # fmt: skip
        results.append(attention(an_embedding(), MemoryStack(sparse, dense, stack.ages), positions()))
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    assert close(results[0], attention(an_embedding(), lacking, positions()))


def filled(part, axis, content):
    part = part.clone()
    part.select(axis, 1).fill_(content)
    return part


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_a_member_of_a_batch_of_which_nothing_is_remembered_keeps_its_embedding(kinds):
    attention = an_attention(of_kind(kinds))
    embedding = an_embedding(batch=2)
    known = torch.tensor([True, False])
    cells = known[:, None, None, None].expand(2, *[CONFIG.grid] * 3)
    memories = [attention.project(embedding[..., 0, 1, n], embedding, known, cells) for n in range(3)]
    after = forward(attention, memories, embedding)
    assert torch.equal(after[1], embedding[1])
    assert not close(after[0], embedding[0])


def test_of_a_mask_unknown_cells_count_as_the_zeros_beyond_the_crop():
    attention = an_attention(of_kind("dense"))
    mask, known = an_embedding(seed=1), torch.ones(1, 3, 3, 3, dtype=torch.bool)
    known[:, 2] = False
    other = mask.clone()
    other[:, :, 2] = 77
    one, another = (forward(attention, [attention.project(m[:, :, 0, 0, 0], m, None, known)]) for m in (mask, other))
    assert torch.equal(one, another)
    assert torch.equal(one[:, :, 2], an_embedding()[:, :, 2])


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_the_order_of_a_batch_changes_nothing(kinds):
    attention = an_attention(of_kind(kinds))
    order = torch.tensor([2, 0, 1])
    memories, embedding = memories_of(attention, 4, batch=3), an_embedding(batch=3)
    permuted = [
        type(memory)(*(half and type(half)(*(part[order] for part in half)) for half in memory)) for memory in memories
    ]
    assert close(forward(attention, permuted, embedding[order]), forward(attention, memories, embedding)[order])


# Time


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_memories_may_lie_in_any_order_as_long_as_their_ages_do(kinds):
    attention = an_attention(of_kind(kinds))
    stack, order = attention.stack(memories_of(attention, 4)), [2, 0, 3, 1]
    shuffled = MemoryStack(
        stack.sparse and type(stack.sparse)(*(part[:, order] for part in stack.sparse)),
        stack.dense and type(stack.dense)(*(part[:, :, order] for part in stack.dense)),
        stack.ages[order],
    )
    assert close(*(attention(an_embedding(), one, positions()) for one in (stack, shuffled)))


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_how_old_a_memory_is_matters(kinds):
    attention = an_attention(of_kind(kinds))
    memories = memories_of(attention, 3)
    assert not close(forward(attention, memories), forward(attention, memories[::-1]))


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_memories_beyond_the_table_look_as_old_as_its_oldest(kinds):
    attention = an_attention(of_kind(kinds))
    memories = memories_of(attention, 3)
    ages = [torch.tensor([oldest, 1, 0]) for oldest in (CONFIG.capacity - 1, CONFIG.capacity, 200, 2)]
    last, just_beyond, far_beyond, young = (forward(attention, memories, ages=age) for age in ages)
    assert torch.equal(last, just_beyond) and torch.equal(last, far_beyond)
    assert not close(last, young)


# Stacks


def test_a_stack_has_the_newest_last_at_age_zero():
    assert an_attention().stack(memories_of(an_attention(), 4)).ages.tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_a_stack_leaves_out_all_but_the_last(kinds):
    attention = an_attention(of_kind(kinds))
    memories = memories_of(attention, 8)
    assert torch.equal(forward(attention, memories), forward(attention, memories[-CONFIG.capacity :]))
    shorter = attention.stack(memories, 2)
    assert shorter.ages.tolist() == [1, 0]
    assert ((shorter.sparse is None), (shorter.dense is None)) == (kinds == "dense", kinds == "sparse")


@pytest.mark.parametrize(("count", "capacity"), [(0, None), (2, 0), (2, -1)])
def test_a_stack_of_nothing_is_refused(count, capacity):
    attention = an_attention()
    with pytest.raises(ValueError, match="needs a memory"):
        attention.stack(memories_of(attention, count), capacity)


# In a network


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_in_bfloat16_it_stays_finite_and_close(kinds):
    attention = an_attention(InteractionConfig(64, 4, 2, 60, kinds))
    exact = forward(attention, memories_of(attention, 60))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = forward(attention, memories_of(attention, 60))
    assert rounded.isfinite().all()
    assert (rounded - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_in_bfloat16_an_embedding_keeps_its_type():
    attention = an_attention()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert forward(attention, memories_of(attention, 3), an_embedding().bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("family", ["native", "published"])
def test_only_the_embedding_is_conditioned_and_with_where_the_clicks_tokens_lie(family):
    network = a_network(family)
    attention = an_attention(InteractionConfig(network.config.embedding_channels, network.config.grid, 2))
    stack = attention.stack(memories_of(attention, 3))
    features = ImageFeatures(an_embedding(attention.config), (torch.ones(1),), torch.zeros(1))
    after = conditioned(network, attention, features, stack)
    assert after.skips is features.skips and after.image is features.image
    # The grid's encoding as points have it: the published dense encoding has two axes swapped.
    where = network.prompt_encoder.pe_layer.of_grid(network.config.grid)
    assert torch.equal(after.embedding, attention(features.embedding, stack, where))


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_in_a_session_ages_are_projected_once_and_anew_for_other_weights(kinds):
    attention = an_attention(of_kind(kinds))
    memories = memories_of(attention, 4)
    for _ in range(2):
        expected = forward(attention, memories)
        with torch.inference_mode():
            found = forward(attention, memories)
            assert close(found, expected)
            assert torch.equal(forward(attention, memories), found)
        for parameter in attention.parameters():
            parameter.mul_(1.5)
