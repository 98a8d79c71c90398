from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.engine.networks.attention import attend
from MemorizingSAM3DLib.engine.networks.memorizing_attention import (
    LayerMemory,
    MemorizingAttention,
    attend_to_cases,
    distance_weights,
)

HEADS, TOKENS, WIDTH = 2, 27, 8


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def block():
    """Queries, keys, values and relative positions of a block, and what its own attention gives."""
    query, key, value = (numbers(1, HEADS, TOKENS, WIDTH, seed=seed) for seed in range(3))
    bias = numbers(1, HEADS, TOKENS, TOKENS, seed=3)
    return query, key, value, bias, attend(query, key, value, bias)


def a_memory(cases: int = 3, seed: int = 10, dtype: torch.dtype = torch.float16) -> LayerMemory:
    keys, values = (numbers(cases, HEADS, TOKENS, WIDTH, seed=seed + part).to(dtype) for part in (0, 1))
    return LayerMemory(keys, values, distance_weights(torch.linspace(0.1, 0.4, cases)))


def test_the_batched_call_is_a_loop_over_cases(block):
    memory = a_memory()
    expected = torch.zeros(1, HEADS, TOKENS, WIDTH)
    for keys, values, weight in zip(*memory, strict=True):
        for head in range(HEADS):
            logits = block[0][0, head] @ keys[head].float().T / WIDTH**0.5
            expected[0, head] += weight * logits.softmax(-1) @ values[head].float()
    torch.testing.assert_close(attend_to_cases(block[0], memory), expected, atol=1e-6, rtol=1e-5)


def test_crops_of_a_batch_are_treated_alike(block):
    memory = a_memory()
    query = numbers(4, HEADS, TOKENS, WIDTH, seed=5)
    together = attend_to_cases(query, memory)
    apart = torch.cat([attend_to_cases(one[None], memory) for one in query])
    torch.testing.assert_close(together, apart, atol=1e-6, rtol=1e-5)


def test_a_key_that_changes_changes_the_output(block):
    # The published code fails this: it applies the local attention map to the memory's values.
    attention = MemorizingAttention()
    memory = a_memory()
    before = attention(block[0], block[-1], memory)
    changed = memory.keys.clone()
    changed[1, 0, 3] += 2
    after = attention(block[0], block[-1], memory._replace(keys=changed))
    assert (after - before)[:, 0].abs().max() > 1e-4
    torch.testing.assert_close(after[:, 1], before[:, 1])  # the other head


def test_the_order_of_the_cases_does_not_matter(block):
    attention, memory = MemorizingAttention(), a_memory(4)
    order = torch.tensor([2, 0, 3, 1])
    turned = LayerMemory(*(part[order] for part in memory))
    torch.testing.assert_close(
        attention(block[0], block[-1], turned), attention(block[0], block[-1], memory), atol=1e-6, rtol=1e-6
    )


def test_near_cases_count_more_and_one_at_distance_zero_not_infinitely():
    weights = distance_weights(torch.tensor([0.0, 0.1, 0.5, 2.0]))
    assert weights.isfinite().all() and weights.sum() == pytest.approx(1)
    assert (weights.diff() < 0).all()
    assert distance_weights(torch.tensor([0.0, 0.0])).tolist() == [0.5, 0.5]
    assert distance_weights(torch.tensor([-1e-7])).tolist() == [1.0]  # rounding of 1 - cosine


def test_a_local_ratio_of_one_is_the_plain_block_and_of_zero_the_memory_alone(block):
    memory = a_memory()
    assert torch.equal(MemorizingAttention(1.0)(block[0], block[-1], memory), block[-1])
    assert torch.equal(MemorizingAttention(0.0)(block[0], block[-1], memory), attend_to_cases(block[0], memory))


def test_ratios_beyond_zero_and_one_are_refused():
    for ratio in (-0.1, 1.1):
        with pytest.raises(ValueError, match="ratio"):
            MemorizingAttention(ratio)
