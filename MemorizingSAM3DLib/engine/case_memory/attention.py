"""The hook of the image encoder through which remembered cases are used, and the one that notes what to remember."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from ..networks.memorizing_attention import LayerMemory, MemorizingAttention, distance_weights
from ..networks.sam3d import SAM3D
from .descriptor import Projection, projected, unit
from .memory import CaseMemory

DEFAULT_ATTENDED = 3  # cases, as in the paper
_empty: WeakKeyDictionary[nn.Module, dict[int, np.ndarray]] = WeakKeyDictionary()


class CaseAttention:
    """Encoder blocks attend to the keys and values of the remembered cases whose images are nearest.

    Nearness is that of the tokens that enter the first memory layer, so the encoder runs once. Everything is read
    from the disk when the memory has changed and before the encoder runs (:meth:`refresh`), never within it. Without
    cases the encoder's output is that of the plain one, bit for bit.

    Args:
        memory: with keys and values of the layers at least, and the tokens' descriptor (`features`).
        attention: for each memory layer (number of the block) how it is fused.
        mean: (N, width), what is taken away from the tokens that enter the first memory layer (:func:`empty_tokens`).
        neighbours: how many cases are used; fewer when there are fewer.
        device: of the encoder.
    """

    def __init__(self, memory: CaseMemory, attention: Mapping[int, MemorizingAttention], mean: np.ndarray,
                 neighbours: int = DEFAULT_ATTENDED, device: torch.device | str = "cpu") -> None:  # fmt: skip
        self.memory, self.neighbours, self.device = memory, neighbours, torch.device(device)
        self.attention = {layer: fusion.to(self.device) for layer, fusion in sorted(attention.items())}
        self._first = min(int(layer) for layer in memory.layout.layers)
        self._mean = torch.from_numpy(mean).to(self.device)
        self._projection = Projection(mean.size, self.device)
        self._revision = -1
        self._descriptors: Tensor | None = None
        self._keys: dict[int, tuple[Tensor, Tensor]] = {}
        self._found: tuple[Tensor, Tensor] | None = None

    def move_to(self, device: torch.device) -> None:
        """Computes there from now on; keys and values are read anew."""
        self.device = device
        self.attention = {layer: fusion.to(device) for layer, fusion in self.attention.items()}
        self._mean = self._mean.to(device)
        self._projection = Projection(self._mean.numel(), device)
        self._revision = -1

    @property
    def settings(self) -> Hashable:
        """All that changes the encoder's output; None: there are no cases, and nothing does."""
        if len(self.memory) == 0:
            return None
        fusions = tuple((layer, id(one), one.ratio) for layer, one in self.attention.items())
        return id(self.memory), self.memory.revision, self.neighbours, fusions

    def refresh(self) -> None:
        """Takes over the memory's cases as they are now, to the device.

        Raises:
            CaseMemoryError: the memory's folder is gone.
        """
        while self._revision != self.memory.revision:  # again, when a case turned out to be damaged
            revision = self.memory.revision
            self._descriptors, self._keys = None, {}
            if len(self.memory):
                self._keys = {n: (self._held(f"keys.{n}"), self._held(f"values.{n}")) for n in self.attention}
                self._descriptors = self._held("features").float()
            self._revision = revision

    def __call__(self, block: int, tokens: Tensor, query: Tensor, key: Tensor, value: Tensor,
                 bias: Callable[[], Tensor | None], local: Tensor) -> Tensor:  # fmt: skip
        if self._descriptors is None:
            return local
        if block == self._first:
            self._found = self._nearest(self._descriptors, tokens)
        if block not in self.attention:
            return local
        assert self._found is not None
        rows, weights = self._found
        keys, values = self._keys[block]
        return self.attention[block](query, local, LayerMemory(keys[rows], values[rows], weights))

    def _nearest(self, descriptors: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        # Not through NearestCases, which gives arrays: a GPU would have to be waited for in the midst of the encoder.
        with torch.autocast(self.device.type, enabled=False):
            asked = self._projection(tokens[0].float() - self._mean)
            cosines = descriptors @ (asked / asked.norm().clamp(min=1e-12))
            near, rows = cosines.topk(min(self.neighbours, len(cosines)))
            return rows, distance_weights(1 - near)

    def _held(self, name: str) -> Tensor:
        stacked = self.memory.stacked(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # it may not be written to, and is not
            return torch.from_numpy(stacked).to(self.device)


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

    def described(self, mean: np.ndarray) -> np.ndarray:
        """The tokens' descriptor, by which :class:`CaseAttention` finds the case.

        Args:
            mean: as there.
        """
        assert self.tokens is not None
        return unit(projected(self.tokens - mean))


def empty_tokens(network: SAM3D, block: int) -> np.ndarray:
    """(N, width) float32: the tokens that enter a block when the crop is empty.

    They stand for what all crops have in common, mostly the positions; it need not be measured and shipped. Made once
    for a network, whose weights are taken not to change.
    """
    known = _empty.setdefault(network, {})
    if block not in known:
        recorder = KeyRecorder((block,))
        device = next(network.parameters()).device
        with torch.inference_mode():
            network.encode(torch.zeros(1, 1, *(network.config.image_size,) * 3, device=device), recorder)
        assert recorder.tokens is not None
        known[block] = recorder.tokens
    return known[block]
