"""The guest of the image encoder through which remembered cases are heard, and the one that notes what to remember."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..memory.case_memory import CaseMemory
from ..memory.memorizing_attention import LayerMemory, MemorizingAttention, distance_weights
from ..memory.retrieval import NearestCases
from .descriptor import projected, unit


class CaseAttention:
    """Encoder blocks attend to the keys and values of the remembered cases whose images are nearest.

    Nearness is that of the tokens that enter the first memory layer, so the encoder runs once. Everything is read
    from the disk when the memory has changed and before the encoder runs (:meth:`refresh`), never within it. Without
    cases the encoder's output is that of the plain one, bit for bit.

    Args:
        memory: with keys and values of the layers, and the tokens' descriptor (`features`).
        attention: for each memory layer (number of the block) how it is fused.
        mean: of the tokens that enter the first memory layer, (N, width).
        neighbours: how many cases are heard; fewer when there are fewer.
        device: of the encoder.
    """

    def __init__(self, memory: CaseMemory, attention: Mapping[int, MemorizingAttention], mean: np.ndarray,
                 neighbours: int = 3, device: torch.device | str = "cpu") -> None:  # fmt: skip
        self.memory, self.neighbours, self.device = memory, neighbours, torch.device(device)
        self._attention = dict(sorted(attention.items()))
        self._mean = mean
        self._revision = -1
        self._index: NearestCases | None = None
        self._keys: dict[int, tuple[Tensor, Tensor]] = {}
        self._found: tuple[Tensor, Tensor] | None = None

    def refresh(self) -> None:
        """Takes over the memory's cases as they are now, to the device."""
        if self._revision == self.memory.revision:
            return
        self._index, self._keys = None, {}
        if len(self.memory):
            for layer in self._attention:
                keys, values = (self.memory.stacked(f"{kind}.{layer}") for kind in ("keys", "values"))
                self._keys[layer] = tuple(torch.from_numpy(np.array(x)).to(self.device) for x in (keys, values))  # type: ignore[assignment]
            self._index = NearestCases(self.memory.stacked("features"))
        self._revision = self.memory.revision

    def __call__(self, block: int, tokens: Tensor, query: Tensor, key: Tensor, value: Tensor,
                 bias: Callable[[], Tensor | None], local: Tensor) -> Tensor:  # fmt: skip
        if block not in self._attention or self._index is None:
            return local
        if block == next(iter(self._attention)):
            self._found = self._nearest(tokens)
        assert self._found is not None
        rows, weights = self._found
        keys, values = self._keys[block]
        fusion = self._attention[block]
        needed = bias() if fusion.gate is not None else None
        return fusion(query, key, value, needed, local, LayerMemory(keys[rows], values[rows], weights))

    def _nearest(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        assert self._index is not None
        asked = unit(projected(tokens[0].float().cpu().numpy() - self._mean))
        found = self._index.search(asked[None], self.neighbours)
        rows, distances = (torch.from_numpy(part[0]).to(self.device) for part in found)
        return rows, distance_weights(distances)


class KeyRecorder:
    """Notes the keys and values of some blocks, and the tokens that enter the first of them.

    Attributes:
        arrays: `keys.<block>` and `values.<block>`, (heads, N, head_dim) float32, of the last encoded crop.
        tokens: (N, width) float32, or None before the first.
    """

    def __init__(self, blocks: tuple[int, ...]) -> None:
        self._blocks = tuple(sorted(blocks))
        self.arrays: dict[str, np.ndarray] = {}
        self.tokens: np.ndarray | None = None

    def __call__(self, block: int, tokens: Tensor, query: Tensor, key: Tensor, value: Tensor,
                 bias: Callable[[], Tensor | None], local: Tensor) -> Tensor:  # fmt: skip
        if block in self._blocks:
            for kind, part in (("keys", key), ("values", value)):
                self.arrays[f"{kind}.{block}"] = part[0].float().cpu().numpy()
            if block == self._blocks[0]:
                self.tokens = tokens[0].float().cpu().numpy()
        return local
