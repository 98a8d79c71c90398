"""Attention to remembered cases beside local attention (Memorizing SAM, Shao 2024), with each case's own keys.

What the paper describes and its code does not do (it applies the LOCAL attention map to the memory's values, so that
memory keys never matter, and weights far cases more than near ones): here the queries attend to the keys of every case,
near cases count more, and the weights are normalised and finite at distance zero.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from .attention import attend

PAPER_RATIO = 0.3
_NEAR = 1e-2  # added to distances: a case at distance zero counts much, not infinitely


class LayerMemory(NamedTuple):
    """What the retrieved cases hold for one block.

    Attributes:
        keys, values: (n, heads, tokens, head_dim), one row a case. weights: (n,), they add to 1.
    """

    keys: Tensor
    values: Tensor
    weights: Tensor


def distance_weights(distances: Tensor) -> Tensor:
    """(n,) distances, at least 0, to (n,) weights that add to 1: near cases count more, as 1 / distance."""
    inverse = 1 / (distances.clamp(min=0) + _NEAR)
    return inverse / inverse.sum()


def attend_to_cases(query: Tensor, memory: LayerMemory) -> Tensor:
    """Every query attends to each case's own keys; the cases' answers are averaged by weight.

    One batched call for all cases; without cases it must not be called.

    Args:
        query: (B, heads, N, head_dim).

    Returns:
        (B, heads, N, head_dim).
    """
    batch, cases = len(query), len(memory.keys)
    many = query[:, None].expand(-1, cases, -1, -1, -1).flatten(0, 1)
    keys, values = (part.to(query.dtype)[None].expand(batch, -1, -1, -1, -1).flatten(0, 1) for part in memory[:2])
    answers = attend(many, keys, values).unflatten(0, (batch, cases))
    return (answers * memory.weights.to(query.dtype)[None, :, None, None, None]).sum(1)


class MemorizingAttention(nn.Module):
    """How an attention block uses remembered cases.

    Args:
        ratio: of the local attention, 0..1: ratio * local + (1 - ratio) * memory.
    """

    def __init__(self, ratio: float = PAPER_RATIO) -> None:
        super().__init__()
        if not 0 <= ratio <= 1:
            raise ValueError(f"The local ratio is between 0 and 1, not {ratio}.")
        self.ratio = ratio

    def forward(self, query: Tensor, local: Tensor, memory: LayerMemory) -> Tensor:
        """The fused output, (B, heads, N, head_dim).

        Args:
            query: of the block. local: what its own attention gave. memory: of at least one case.
        """
        return self.ratio * local + (1 - self.ratio) * attend_to_cases(query, memory)
