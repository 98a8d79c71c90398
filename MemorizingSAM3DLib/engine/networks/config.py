"""The configuration of a network: everything that its weights do not say by themselves.

It travels inside every checkpoint (safetensors metadata), so nothing is guessed twice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from ..errors import CheckpointError

Family = Literal["native", "sam_med3d", "fastsam3d"]
Attention = Literal["dense", "sparse", "column"]
RelativePosition = Literal["decomposed", "published", "rotary"]
Residual = Literal["pre_norm", "normed_stream"]

FAMILIES: tuple[Family, ...] = ("native", "sam_med3d", "fastsam3d")
PUBLISHED_SPACING_MM = 1.5  # the one voxel size that published networks were trained on
FINEST_SPACING_MM = 0.5
LARGEST_EXTENT_MM = 384.0  # of a native network's crop
MAXIMAL_GRID = 32  # tokens along an edge: attention over more would not fit any machine


@dataclass(frozen=True)
class NetworkConfig:
    """Architecture of a promptable network.

    Attributes:
        family: ``native`` is trained here; ``sam_med3d`` and ``fastsam3d`` compute what the published code computes.
        image_size: edge of the cubic crop, voxels. patch_size: edge of a token, voxels.
        width, depth, heads, mlp_ratio: the image encoder's transformer.
        attention_from: blocks before this one have no attention (FastSAM3D: 2).
        attention: ``dense``, ``sparse`` (segments of w tokens at stride r, LongNet) or ``column`` (the attention of
            FastSAM3D's published sparse encoder, which does not put its outputs back in their places).
        segments: the (w, r) pairs of sparse attention, tokens.
        window: edge of the padded attention window, tokens; 0 = no windows. global_blocks: blocks without windows.
        relative_position: ``decomposed`` is the sound form, ``published`` the one with upstream's broadcasting quirk;
            ``rotary`` turns queries and keys by their place (Su 2021, along three axes), so that no bias is made.
        residual: ``pre_norm`` x + mlp(norm2(x)); ``normed_stream`` x = norm2(x); x + mlp(x) (FastSAM3D's student).
        embedding_channels: channels of the image embedding, the prompts and the mask decoder.
        decoder_heads, decoder_mlp, decoder_depth: the two-way transformer.
        token_blocks: native only, with patches of 8: transformer blocks over the image's tokens in the mask decoder,
            one after each layer of the two-way transformer, so that what a prompt says travels between tokens.
        token_mlp_ratio: of those blocks.
        stem_channels: channels of the native skip stem at 1/2, 1/4 and 1/8 of the crop's resolution; empty = no stem.
        upscale_channels: channels while upscaling; each entry doubles the resolution of the embedding grid. With
            patches of 8 the last step to the crop's own grid is made by the logits alone, eight from each cell.
        refine_blocks: native only: convolutional blocks after each of those steps; those at the coarse ones let a
            click reach far.
        click_history: native only: the network is given all clicks so far. Else the newest one, as published networks
            are; then what earlier ones said is left to the previous logits, and to an interaction memory.
    """

    family: Family
    image_size: int = 128
    patch_size: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_ratio: float = 4.0
    attention_from: int = 0
    attention: Attention = "dense"
    segments: tuple[tuple[int, int], ...] = ((64, 1), (128, 2), (256, 4), (512, 8))
    window: int = 0
    global_blocks: tuple[int, ...] = ()
    relative_position: RelativePosition = "published"
    residual: Residual = "pre_norm"
    embedding_channels: int = 384
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    decoder_depth: int = 2
    token_blocks: int = 0
    token_mlp_ratio: float = 2.0
    stem_channels: tuple[int, ...] = ()
    upscale_channels: tuple[int, ...] = (96, 48)
    refine_blocks: tuple[int, ...] = ()
    click_history: bool = True

    @property
    def grid(self) -> int:
        """Edge of the token grid (8 for a 128^3 crop and patches of 16)."""
        return self.image_size // self.patch_size

    @property
    def full_grid(self) -> bool:
        """Whether a native network's logits stand on the crop's own grid, not on a coarser one."""
        return self.family == "native" and self.patch_size == 8

    @property
    def output_size(self) -> int:
        """Edge of the logits that the mask decoder gives, voxels of a grid over the same crop."""
        return self.image_size if self.full_grid else self.grid * 2 ** len(self.upscale_channels)

    @property
    def published(self) -> bool:
        """Whether the network reproduces a published one (and its quirks)."""
        return self.family != "native"

    def window_of(self, block: int) -> int:
        """Edge of the attention window of a block, tokens; 0 = global attention."""
        return 0 if block in self.global_blocks else self.window

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        """The inverse of :meth:`to_dict`.

        Raises:
            CheckpointError: a field is unknown, has a value out of range, or contradicts another; no family is named.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or values.get("family") not in FAMILIES:
            raise CheckpointError(
                f"The checkpoint's configuration is not one of this version (fields {unknown or ['family']}).",
                "Update MemorizingSAM3D, or take a checkpoint written by this version.",
            )
        config = cls(**{key: _frozen(value) for key, value in values.items()})
        config._check_ranges()
        config._check_agreement()
        return config

    def _check_ranges(self) -> None:
        tokens = MAXIMAL_GRID**3
        for name, (low, high) in _RANGES.items():
            _check(name, getattr(self, name), _is_number(getattr(self, name), low, high), f"{low} to {high}")
        for name, (shortest, longest, low, high) in _LISTS.items():
            values = getattr(self, name)
            fits = isinstance(values, tuple) and shortest <= len(values) <= longest
            fits = fits and all(_is_number(value, low, high) for value in values)
            _check(name, values, fits, f"{shortest} to {longest} numbers of {low} to {high}")
        for name, choices in _CHOICES.items():
            _check(name, getattr(self, name), getattr(self, name) in choices, f"one of {', '.join(choices)}")
        for name in ("mlp_ratio", "token_mlp_ratio"):
            ratio = getattr(self, name)
            _check(name, ratio, isinstance(ratio, (int, float)) and 0.25 <= ratio <= 16, "0.25 to 16")
        pairs = self.segments
        fits = isinstance(pairs, tuple) and 1 <= len(pairs) <= 16
        fits = fits and all(
            isinstance(pair, tuple) and len(pair) == 2 and all(_is_number(number, 1, tokens) for number in pair)
            for pair in pairs
        )
        _check("click_history", self.click_history, isinstance(self.click_history, bool), "true or false")
        _check("segments", pairs, fits, f"1 to 16 pairs of 1 to {tokens} tokens")

    def _check_agreement(self) -> None:
        channels, parts = self.embedding_channels, 3 if self.published else 2
        contradictions = {
            "the width is no multiple of the heads": self.width % self.heads,
            "the crop is no multiple of the patch": self.image_size % self.patch_size,
            f"the grid has more than {MAXIMAL_GRID} tokens along an edge": self.grid > MAXIMAL_GRID,
            f"the embedding's channels are no multiple of {parts}": channels % parts,
            "half the embedding's channels are no multiple of the decoder's heads": channels % (2 * self.decoder_heads),
            "the window is smaller than the grid": 0 < self.window < self.grid,
            "only published relative positions have windows": self.window and self.relative_position != "published",
            "sparse attention has decomposed or rotary relative positions": (
                self.attention == "sparse" and self.relative_position == "published"
            ),
            "rotary positions need heads of at least 6 even channels": (
                self.relative_position == "rotary" and (self.width // self.heads < 6 or self.width // self.heads % 2)
            ),
            "no pair of segments reaches every token": (
                self.attention == "sparse" and min(stride for _, stride in self.segments) > self.heads
            ),
        }
        # A published network upscales twice. A native one does so as often as its patches ask for, beside a stem, if
        # any, that halves the crop three times.
        if self.published:
            contradictions["a published network has no stem and upscales twice"] = (
                len(self.stem_channels) or len(self.upscale_channels) != 2
            )
        else:
            steps = {8: 2, 16: 3}.get(self.patch_size)
            contradictions[
                "native networks have patches of 16 and three upscalings, or of 8 and two; three stem steps or none"
            ] = (
                len(self.stem_channels) not in (0, 3)
                or len(self.upscale_channels) != steps
                or len(self.refine_blocks) != steps
            )
            contradictions["token blocks go with patches of 8, at most one a layer of the decoder"] = (
                self.token_blocks > (self.decoder_depth if self.full_grid else 0)
            )
        if found := [text for text, contradicts in contradictions.items() if contradicts]:
            raise CheckpointError(
                f"The checkpoint's configuration contradicts itself: {', and '.join(found)}.",
                "The file is damaged or not ours: take another copy.",
            )

    def with_(self, **changes: Any) -> NetworkConfig:
        """A copy with some fields changed."""
        return replace(self, **changes)


_RANGES = {
    "image_size": (32, 512), "patch_size": (4, 64), "width": (16, 4096), "depth": (1, 64), "heads": (1, 64),
    "attention_from": (0, 64), "window": (0, 64), "embedding_channels": (16, 4096), "decoder_heads": (1, 64),
    "decoder_mlp": (16, 16384), "decoder_depth": (1, 16), "token_blocks": (0, 16),
}  # fmt: skip
_LISTS = {  # lengths, values
    "global_blocks": (0, 64, 0, 63), "stem_channels": (0, 3, 1, 1024), "upscale_channels": (2, 3, 1, 1024),
    "refine_blocks": (0, 3, 1, 16),
}  # fmt: skip
_CHOICES = {
    "family": FAMILIES,
    "attention": get_args(Attention),
    "relative_position": get_args(RelativePosition),
    "residual": get_args(Residual),
}


def _is_number(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _check(name: str, value: Any, fits: bool, wanted: str) -> None:
    if not fits:
        raise CheckpointError(
            f"The checkpoint's configuration has {name} = {value!r}, not {wanted}.",
            "The file is damaged or not ours: take another copy.",
        )


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def sam_med3d_config() -> NetworkConfig:
    """SAM-Med3D (Wang 2023): 12 blocks, window 14 on an 8^3 grid, global attention in blocks 2, 5, 8 and 11."""
    return NetworkConfig(family="sam_med3d", window=14, global_blocks=(2, 5, 8, 11))


def fastsam3d_config() -> NetworkConfig:
    """FastSAM3D's student (Shen 2024): 6 blocks, none of attention in blocks 0 and 1."""
    return NetworkConfig(family="fastsam3d", depth=6, heads=6, attention_from=2, residual="normed_stream")


def spacing_range_of(family: Family, size: int) -> tuple[float, float]:
    """Voxel sizes, mm, of the crops of ``size``^3 voxels that a network is trained on, and looks through."""
    if family != "native":
        return PUBLISHED_SPACING_MM, PUBLISHED_SPACING_MM
    return FINEST_SPACING_MM, LARGEST_EXTENT_MM / size


def native_config(**changes: Any) -> NetworkConfig:
    """The network that is trained here: FastSAM3D's design with sound mathematics and a skip stem."""
    return NetworkConfig(
        family="native", width=384, depth=6, heads=6, attention_from=2, relative_position="decomposed",
        embedding_channels=256, decoder_mlp=1024, stem_channels=(16, 32, 64), upscale_channels=(64, 32, 16),
        refine_blocks=(4, 2, 1),
    ).with_(**changes)  # fmt: skip


def coarse_token_config(**changes: Any) -> NetworkConfig:
    """Version 4: crops of 64^3 voxels, of which 64 tokens are left, and logits of 32^3."""
    return native_config(image_size=64).with_(**changes)


def full_grid_config(**changes: Any) -> NetworkConfig:
    """Version 5: 512 tokens of a crop of 64^3 voxels, and logits for each of its voxels."""
    return NetworkConfig(
        family="native", image_size=64, patch_size=8, width=256, depth=6, heads=8, mlp_ratio=3.0, attention_from=2,
        attention="dense", relative_position="rotary", embedding_channels=192, decoder_heads=6, decoder_mlp=512,
        token_blocks=2, stem_channels=(24, 48, 96), upscale_channels=(48, 24), refine_blocks=(3, 1),
    ).with_(**changes)  # fmt: skip


def shipped_config() -> NetworkConfig:
    """The network that is trained from nothing when no other is named."""
    return full_grid_config()
