"""Memory attention (MAIS): the image embedding, conditioned on the clicks so far and on the masks they led to.

The paper leaves the design open. Ours has its size (2.84 M parameters at 384 channels) and these steps:

1. the clicks' tokens attend to each other;
2. every cell of the image attends, along time, to what past masks said at that very cell (ConvTransformer,
   arXiv 2011.10185: queries, keys and values through 3^3 convolutions), never to the cells of all memories at once;
3. the image attends to the clicks' tokens;
4. a feed-forward network.

Each of 2 to 4 adds to the embedding, through a last layer that starts at zero: untrained, it changes nothing. How old a
memory is (0 = the newest) enters after the projections, so a memory is projected once, when it is written.

The configuration of an interaction memory: it travels inside every file of its weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import CheckpointError
from .attention import attend
from .image_encoder import ImageFeatures
from .layers import MLP, DepthwiseConv3d
from .mask_decoder import ProjectedAttention
from .sam3d import SAM3D

MemoryTypes = Literal["both", "sparse", "dense"]
DEFAULT_CAPACITY = 60
MAXIMAL_CAPACITY = 256


@dataclass(frozen=True)
class InteractionConfig:
    """Architecture of a memory attention.

    Attributes:
        channels: of the image embedding. grid: edge of the token grid.
        heads: of every attention; they divide the channels.
        capacity: entries of the temporal tables: memories older than that look as old as the oldest entry.
        kinds: memories of clicks (``sparse``), of masks (``dense``), or ``both``.
    """

    channels: int
    grid: int
    heads: int = 8
    capacity: int = DEFAULT_CAPACITY
    kinds: MemoryTypes = "both"

    def __post_init__(self) -> None:
        ranges = {"channels": (8, 4096), "grid": (1, 32), "heads": (1, 64), "capacity": (1, MAXIMAL_CAPACITY)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise _not_ours(f"{name} = {value!r}, not {low} to {high}")
        if self.channels % self.heads:
            raise _not_ours(f"{self.channels} channels, which are no multiple of its {self.heads} heads")
        if self.kinds not in get_args(MemoryTypes):
            raise _not_ours(f"kinds = {self.kinds!r}, not one of {', '.join(get_args(MemoryTypes))}")

    @property
    def hidden(self) -> int:
        """Width inside the feed-forward network: 10/3 of the channels, as a multiple of 8 (1280 for 384)."""
        return 8 * round(self.channels * 10 / 24)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InteractionConfig:
        """The inverse of :meth:`to_dict`.

        Raises:
            CheckpointError: a field is missing, unknown, or has a value out of range.
        """
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            raise _not_ours(f"other fields: {', '.join(sorted(known ^ set(values)))}")
        return cls(**values)


def _not_ours(what: str) -> CheckpointError:
    return CheckpointError(
        f"The interaction memory's configuration has {what}.",
        "The file is damaged or of another version: take another copy.",
    )


class SparseMemory(NamedTuple):
    """The click of one memory, or of a stack of N: ``token``, ``query``, ``key``, ``value`` are (B, [N,] C).

    Attributes:
        known: (B[, N]) bool; False where the click cannot be seen.
    """

    token: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    known: Tensor


class DenseMemory(NamedTuple):
    """The mask of one memory, or of a stack of N: ``key`` and ``value`` are (B, g^3, [N,] C).

    Attributes:
        known: (B, g^3[, N]) bool; False in cells of which the memory says nothing.
    """

    key: Tensor
    value: Tensor
    known: Tensor


class Projected(NamedTuple):
    """A memory's keys and values, projected once, when it is written; None for a half that is left out."""

    sparse: SparseMemory | None
    dense: DenseMemory | None


def halved(memory: Projected) -> Projected:
    """A memory whose numbers are kept in float16; what is known of it stays."""
    sparse, dense = memory.sparse, memory.dense
    if sparse is not None:
        token, query, key, value = (part.half() for part in sparse[:-1])
        sparse = SparseMemory(token, query, key, value, sparse.known)
    if dense is not None:
        dense = DenseMemory(dense.key.half(), dense.value.half(), dense.known)
    return Projected(sparse, dense)


class MemoryStack(NamedTuple):
    """What the attention sees: N memories, in any order.

    Attributes:
        sparse, dense: stacked; an empty slot is one that nothing is known of. ages: (N,) whole numbers, 0 = newest.
    """

    sparse: SparseMemory | None
    dense: DenseMemory | None
    ages: Tensor


class MemoryAttention(nn.Module):
    """Conditions an image embedding on a stack of memories."""

    def __init__(self, config: InteractionConfig) -> None:
        super().__init__()
        self.config = config
        channels, heads = config.channels, config.heads
        if config.kinds != "dense":
            self.click_attention = ProjectedAttention(channels, heads)
            self.click_norm = nn.LayerNorm(channels)
            self.click_times = nn.Parameter(torch.empty(config.capacity, channels))
            self.image_to_click_norm = nn.LayerNorm(channels)
            self.image_to_click = ProjectedAttention(channels, heads)
        if config.kinds != "sparse":
            self.mask_norm = nn.LayerNorm(channels)
            self.key_conv = DepthwiseConv3d(channels)
            self.value_conv = DepthwiseConv3d(channels)
            self.mask_times = nn.Parameter(torch.empty(config.capacity, channels))
            self.image_to_mask_norm = nn.LayerNorm(channels)
            self.query_conv = DepthwiseConv3d(channels)
            self.image_to_mask = ProjectedAttention(channels, heads)
        self.mlp_norm = nn.LayerNorm(channels)
        self.mlp = MLP(channels, config.hidden)
        self._initialise()
        self._projected_times: dict[tuple[str, int], tuple[list[Any], Tensor]] = {}

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        last = [self.mlp.lin2]
        if self.config.kinds != "dense":
            nn.init.trunc_normal_(self.click_times, std=0.02)
            last.append(self.image_to_click.out_proj)
        if self.config.kinds != "sparse":
            nn.init.trunc_normal_(self.mask_times, std=0.02)
            last.append(self.image_to_mask.out_proj)
        for layer in last:
            nn.init.zeros_(layer.weight)

    def project(self, sparse: Tensor, dense: Tensor, sparse_known: Tensor | None = None,
                dense_known: Tensor | None = None) -> Projected:  # fmt: skip
        """A memory as the attention wants it, whatever its age.

        Args:
            sparse: (B, C), the click's token. dense: (B, C, g, g, g), the embedding of the mask it led to.
            sparse_known: (B,) bool, dense_known: (B, g, g, g) bool; None where all is known. Unknown cells count as
                the zeros with which convolutions go beyond the crop.
        """
        click = mask = None
        if self.config.kinds != "dense":
            known = sparse.new_ones(sparse.shape[0], dtype=torch.bool) if sparse_known is None else sparse_known
            own = self.click_attention
            click = SparseMemory(sparse, own.q_proj(sparse), own.k_proj(sparse), own.v_proj(sparse), known)
        if self.config.kinds != "sparse":
            tokens = self.mask_norm(dense.flatten(2).transpose(1, 2))
            if dense_known is not None:
                tokens = tokens * dense_known.flatten(1)[..., None].to(tokens.dtype)
                known = dense_known.flatten(1)
            else:
                known = tokens.new_ones(tokens.shape[:2], dtype=torch.bool)
            own = self.image_to_mask
            key = own.k_proj(self._convolved(self.key_conv, tokens))
            mask = DenseMemory(key, own.v_proj(self._convolved(self.value_conv, tokens)), known)
        return Projected(click, mask)

    def stack(self, memories: Sequence[Projected], capacity: int | None = None) -> MemoryStack:
        """Memories of the same batch, the newest last; only the last ``capacity`` (default: the configuration's).

        Raises:
            ValueError: there is no memory, or the capacity is below 1. Without memories nothing is conditioned.
        """
        capacity = self.config.capacity if capacity is None else capacity
        if not memories or capacity < 1:
            raise ValueError("A stack needs a memory, and room for it.")
        kept = memories[-capacity:]
        clicks = [memory.sparse for memory in kept if memory.sparse is not None]
        masks = [memory.dense for memory in kept if memory.dense is not None]
        sparse = SparseMemory(*(torch.stack(part, dim=1) for part in zip(*clicks, strict=True))) if clicks else None
        dense = DenseMemory(*(torch.stack(part, dim=2) for part in zip(*masks, strict=True))) if masks else None
        device = self.mlp.lin1.weight.device
        return MemoryStack(sparse, dense, torch.arange(len(kept) - 1, -1, -1, device=device))

    def forward(self, embedding: Tensor, stack: MemoryStack, positions: Tensor) -> Tensor:
        """The conditioned embedding. A batch's member of which nothing is remembered keeps its embedding, bit by bit.

        Args:
            embedding: (B, C, g, g, g). stack: of the same batch.
            positions: (1, C, g, g, g), the encoding of the cells' centres, as that of the clicks' tokens; see
                :func:`conditioned`.
        """
        image = x = embedding.flatten(2).transpose(1, 2)
        touched = torch.zeros_like(x[..., :1], dtype=torch.bool)
        ages = stack.ages.clamp(max=self.config.capacity - 1)
        if stack.dense is not None:
            known = stack.dense.known.any(dim=2)[..., None]
            x = torch.where(known, x + self._from_masks(x, stack.dense, ages), x)
            touched = touched | known
        if stack.sparse is not None:
            known = stack.sparse.known.any(dim=1)[:, None, None]
            where = positions.flatten(2).transpose(1, 2)
            x = torch.where(known, x + self._from_clicks(x, where, stack.sparse, ages), x)
            touched = touched | known
        x = torch.where(touched, x + self.mlp(self.mlp_norm(x)), image)
        return x.to(embedding.dtype).transpose(1, 2).reshape(embedding.shape)

    def _from_masks(self, x: Tensor, masks: DenseMemory, ages: Tensor) -> Tensor:
        """Every cell looks at itself in past masks: (B, g^3, C) to the same shape."""
        own = self.image_to_mask
        heads = (own.heads, -1)
        query = own.q_proj(self._convolved(self.query_conv, self.image_to_mask_norm(x))).unflatten(2, heads)
        key, value = (part.flatten(0, 1).unflatten(2, heads).transpose(1, 2) for part in (masks.key, masks.value))
        # q.(k + W t) = q.k + q.(W t): the second is a bias, so the keys need no copy with their age in it.
        times = self._aged("mask_times", own.k_proj, ages).unflatten(1, heads)
        by_age = torch.einsum("bthc,nhc->bthn", query, times.to(query.dtype)) * query.shape[-1] ** -0.5
        bias = by_age + _hiding(masks.known, 2).to(query.dtype)[:, :, None]
        # In the memories' precision: they are by far the largest here, and are kept smaller where memory is short.
        query, bias = query.to(key.dtype), bias.to(key.dtype)
        attended = attend(query.flatten(0, 1)[:, :, None], key, value, bias.flatten(0, 1)[:, :, None])
        return own.out_proj(attended.flatten(1).unflatten(0, x.shape[:2]).to(x.dtype))

    def _from_clicks(self, x: Tensor, positions: Tensor, clicks: SparseMemory, ages: Tensor) -> Tensor:
        """The image looks at the clicks, after they have looked at each other: (B, g^3, C) to the same shape."""
        own, times, heads = self.click_attention, self.click_times[ages], (self.click_attention.heads, -1)
        query = clicks.query + self._aged("click_times", own.q_proj, ages)
        key = clicks.key + self._aged("click_times", own.k_proj, ages)
        query, key, value = (part.unflatten(2, heads).transpose(1, 2) for part in (query, key, clicks.value))
        bias = _hiding(clicks.known, 1).to(query.dtype)[:, None, None]
        attended = attend(query, key.to(query.dtype), value.to(query.dtype), bias)
        tokens = self.click_norm(clicks.token + own.out_proj(attended.transpose(1, 2).flatten(2)))
        return self.image_to_click(self.image_to_click_norm(x) + positions, tokens + times, tokens, bias)

    def _aged(self, table: str, projection: nn.Linear, ages: Tensor) -> Tensor:
        """How ages (N,) look to a projection, without its bias: (N, C)."""
        times, weight = self.get_parameter(table), projection.weight
        stays = torch.is_inference_mode_enabled() and not (
            self.training or times.is_inference() or weight.is_inference()
        )
        if not stays or weight.device.type != "cpu":
            return functional.linear(times[ages], weight)
        # For every age once: with few cells a click's products are so small that these four would be a tenth of them.
        made_of = [(part.data_ptr(), part._version, part.dtype) for part in (times, weight)]
        key = table, id(projection)
        known = self._projected_times.get(key)
        if known is None or known[0] != made_of:
            with torch.autocast("cpu", enabled=False):
                known = made_of, functional.linear(times, weight)
            self._projected_times[key] = known
        return known[1][ages]

    def _convolved(self, conv: DepthwiseConv3d, tokens: Tensor) -> Tensor:
        """A convolution of (B, g^3, C) over the grid. In float32: in bfloat16 on a CPU its gradient is wrong."""
        edge = (self.config.grid,) * 3
        with torch.autocast(tokens.device.type, enabled=False):
            return conv(tokens.float().transpose(1, 2).unflatten(2, edge)).flatten(2).transpose(1, 2)


def conditioned(network: SAM3D, attention: MemoryAttention, features: ImageFeatures,
                stack: MemoryStack) -> ImageFeatures:  # fmt: skip
    """Features whose embedding knows the memories; skips stay as they are. Training and sessions both call it."""
    positions = network.prompt_encoder.pe_layer.of_grid(network.config.grid)
    return features._replace(embedding=attention(features.embedding, stack, positions))


def _hiding(known: Tensor, axis: int) -> Tensor:
    """Additive logits that hide what is not known; all zero where nothing is, since a softmax needs something."""
    hidden = ~known & known.any(dim=axis, keepdim=True)
    return torch.zeros_like(known, dtype=torch.float32).masked_fill(hidden, float("-inf"))
