"""Clicks and previous logits to embeddings: the published prompt encoder and the native one."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .click_maps import LEAST_FACTOR, ClickCanvas
from .config import NetworkConfig
from .layers import ChannelNorm, ConvBlock, FastConv3d

Points = tuple[Tensor, Tensor]

MOST_TOKENS = 256
_LEAST_EXPONENT = -60.0  # as LEAST_FACTOR, of a likeness
_FEW_VALUES = {"cpu": 64}  # up to here it is quicker to compare with all of them than to search; elsewhere 4


class PositionalEncoding(nn.Module):
    """Random Fourier features of a position in the crop: [sin, cos, sin](2 pi (2 c - 1) G) for 3 x 128 numbers G.

    The third part repeats the sine in the published networks; native ones take [sin, cos] of as many frequencies
    as half their channels.
    """

    def __init__(self, channels: int, repeat_sine: bool) -> None:
        super().__init__()
        self.repeat_sine = repeat_sine
        frequencies = channels // 3 if repeat_sine else channels // 2
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(3, frequencies))

    def forward(self, position: Tensor) -> Tensor:
        """(..., 3) in 0..1, axes (R, A, S) -> (..., channels)."""
        matrix = self.get_buffer("positional_encoding_gaussian_matrix")
        with torch.autocast(matrix.device.type, enabled=False):  # bfloat16 phases would be wrong by 0.1 rad
            phase = 2 * math.pi * ((2 * position - 1) @ matrix)
        parts = [phase.sin(), phase.cos()] + ([phase.sin()] if self.repeat_sine else [])
        return torch.cat(parts, dim=-1)

    def of_grid(self, size: int) -> Tensor:
        """The encoding of the centres of a size^3 grid: (1, channels, size, size, size), axes as the points'."""
        matrix = self.get_buffer("positional_encoding_gaussian_matrix")
        steps = (torch.arange(size, device=matrix.device, dtype=matrix.dtype) + 0.5) / size
        centres = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1)
        return self(centres).movedim(-1, 0)[None]


class PromptEncoder(nn.Module):
    """SAM-Med3D's prompt encoder, with its habits: a padding point is always appended; the dense positional grid has
    its first two axes swapped against the points'.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.embedding_channels
        self.pe_layer = PositionalEncoding(channels, repeat_sine=True)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, channels) for _ in range(2))
        self.not_a_point_embed = nn.Embedding(1, channels)
        self.mask_downscaling = nn.Sequential(
            nn.Conv3d(1, 4, 2, stride=2),
            ChannelNorm(4),
            nn.GELU(),
            nn.Conv3d(4, 16, 2, stride=2),
            ChannelNorm(16),
            nn.GELU(),
            nn.Conv3d(16, channels, 1),
        )
        self.no_mask_embed = nn.Embedding(1, channels)

    def dense_positional_encoding(self) -> Tensor:
        """(1, C, g, g, g); the encoding of a point in token (a, b, c) stands at [b, a, c] (upstream's axis quirk)."""
        return self.pe_layer.of_grid(self.config.grid).transpose(2, 3)

    def forward(self, points: Points | None = None, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embeddings of the prompts.

        Args:
            points: coords (B, N, 3), voxel indices (r, a, s) of the crop, and labels (B, N): 1 positive, 0 negative,
                -1 padding; or None.
            masks: previous logits (B, 1, 32, 32, 32), or None.

        Returns:
            sparse (B, N + 1, C), or (B, 0, C) without points; dense (B, C, g, g, g).
        """
        grid, channels = self.config.grid, self.config.embedding_channels
        if points is not None:
            batch, sparse = points[0].shape[0], self._embed_points(*points)
        else:
            batch = 1 if masks is None else masks.shape[0]
            sparse = self.no_mask_embed.weight.new_zeros(batch, 0, channels)
        if masks is not None:
            return sparse, self.mask_downscaling(masks)
        return sparse, self.no_mask_embed.weight[0][None, :, None, None, None].expand(batch, -1, grid, grid, grid)

    def token_of(self, coords: Tensor, labels: Tensor) -> Tensor:
        """One click's token, without the padding point: coords (B, 1, 3), labels (B, 1) -> (B, C)."""
        return self._embed_points(coords, labels)[:, 0]

    def memory_of(self, coords: Tensor, labels: Tensor, image: Tensor | None, logits: Tensor) -> tuple[Tensor, Tensor]:
        """What an interaction memory keeps of a click: its token (B, C) and the mask it led to (B, C, g, g, g).

        Args:
            coords: (B, 1, 3) voxel indices of the crop. labels: (B, 1). image: not looked at.
            logits: (B, 1, 32, 32, 32) after the click.
        """
        return self.token_of(coords, labels), self.mask_downscaling(logits)

    def _embed_points(self, coords: Tensor, labels: Tensor) -> Tensor:
        coords = functional.pad(coords.to(self.no_mask_embed.weight.dtype) + 0.5, (0, 0, 0, 1))
        labels = functional.pad(labels, (0, 1), value=-1)[..., None]
        encoding = self.pe_layer(coords / self.config.image_size)
        encoding = torch.where(labels == -1, self.not_a_point_embed.weight, encoding)
        encoding = encoding + (labels == 0) * self.get_parameter("point_embeddings.0.weight")
        return encoding + (labels == 1) * self.get_parameter("point_embeddings.1.weight")


def nearest_distance(image: Tensor, values: Tensor) -> Tensor:
    """How far each intensity is from the nearest of some values; infinite where there are none.

    Args:
        image: (B, m, m, m). values: (B, N); infinite ones count for nothing.

    Returns:
        (B, m, m, m), the same bits however it is computed.
    """
    if values.shape[1] <= _FEW_VALUES.get(image.device.type, 4):
        nearest = torch.full_like(image, float("inf"))
        for value in values.unbind(1):
            nearest = torch.minimum(nearest, (image - value[:, None, None, None]).abs())
        return nearest
    # Of sorted values only the two around an intensity matter.
    ordered, flat = values.sort(dim=1).values, image.flatten(1)
    above = torch.searchsorted(ordered, flat)
    upper = ordered.gather(1, above.clamp(max=ordered.shape[1] - 1))
    lower = ordered.gather(1, (above - 1).clamp(min=0))
    return torch.minimum((flat - lower).abs(), (flat - upper).abs()).view_as(image)


def _can_look_at(labels: Tensor) -> bool:
    """Whether clicks may be chosen by their label: not in a batch of crops, nor where a GPU had to be waited for."""
    return len(labels) == 1 and labels.device.type == "cpu"


class PromptFeatures(NamedTuple):
    """Native prompts, embedded.

    Attributes:
        sparse: (B, N, C) tokens, one a click, of at most :data:`MOST_TOKENS`.
        valid: (B, N) False for padding; None: there is none.
        dense: (B, C, g, g, g), added to the image embedding. maps: features at 1/2, 1/4 and 1/8 of the crop's
        resolution, joined while the mask is upscaled.
    """

    sparse: Tensor
    valid: Tensor | None
    dense: Tensor
    maps: tuple[Tensor, ...]


class NativePromptEncoder(nn.Module):
    """Clicks as tokens AND as maps beside the previous logits, so that no click is lost between tokens.

    The newest :data:`MOST_TOKENS` are tokens, which bounds a click's time; the maps show all of them.

    Two kinds of maps: Gaussians around the clicks say where they are; likeness maps say which cells are as bright as
    what was clicked, which is what a region grows by.
    """

    sigmas = (1.0, 4.0)  # cells of the logits' grid: where the click is, and its neighbourhood
    likenesses = (0.1, 0.35)  # differences of normalised intensity

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.embedding_channels
        self.pe_layer = PositionalEncoding(channels, repeat_sine=False)
        self.point_embeddings = nn.Embedding(2, channels)
        coarse, middle, fine = config.upscale_channels
        maps = 1 + 2 * len(self.sigmas) + 2 * len(self.likenesses)
        # Pointwise: a kernel of 3^3 at this resolution would double a click's time.
        self.at_half = FastConv3d(maps, fine, 1)
        self.at_quarter = ConvBlock(maps, middle, stride=2)
        self.at_eighth = ConvBlock(middle, coarse, stride=2)
        self.to_tokens = FastConv3d(coarse, channels, 2, stride=2)

    def dense_positional_encoding(self) -> Tensor:
        """(1, C, g, g, g), aligned with the points' encoding."""
        return self.pe_layer.of_grid(self.config.grid)

    def click_maps(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Gaussians around the clicks: (B, 2 signs x len(sigmas), m, m, m) in 0..1 on the logits' grid.

        Args:
            coords: (B, N, 3) voxel indices of the crop. labels: (B, N), 1 positive, 0 negative, -1 padding.
        """
        size = self.config.output_size
        centres = (coords.float() + 0.5) * (size / self.config.image_size) - 0.5
        steps = torch.arange(size, device=coords.device, dtype=torch.float32)
        distance = (steps - centres[..., None]) ** 2  # (B, N, 3, m)
        maps = []
        for sign in (1, 0):
            if _can_look_at(labels):
                near = distance[:, labels[0] == sign]
                weight = near.new_ones(near.shape[:2])
            else:
                near, weight = distance, (labels == sign).to(distance.dtype)
            for sigma in self.sigmas:
                exponents = near / (-2 * sigma**2)
                r, a, s = torch.where(exponents > LEAST_FACTOR, exponents.exp(), 0.0).unbind(2)
                plane = ((r * weight[..., None])[..., :, None] * a[..., None, :]).flatten(2)
                maps.append((plane.transpose(1, 2) @ s).unflatten(1, (size, size)).clamp(max=1.0))
        return torch.stack(maps, dim=1)

    def likeness_maps(self, coords: Tensor, labels: Tensor, image: Tensor) -> Tensor:
        """How like each cell is to the clicked one it is most like, by intensity.

        A clicked cell's intensity is the mean over its 3^3 neighbourhood.

        Args:
            coords, labels: as in :meth:`forward`. image: (B, 1, m, m, m).

        Returns:
            (B, 2 signs x len(likenesses), m, m, m) in 0..1; 0 where there is no click of that sign.
        """
        image = image[:, 0].float()
        clicked = self._clicked_intensities(coords, image)
        maps = []
        for sign in (1, 0):
            chosen = labels == sign
            values = clicked[:, chosen[0]] if _can_look_at(labels) else clicked.masked_fill(~chosen, float("inf"))
            maps += self._likenesses_at(nearest_distance(image, values))
        return torch.stack(maps, dim=1)

    def _likenesses_at(self, distance: Tensor) -> list[Tensor]:
        """How like an intensity is at a distance from another, for each scale; of the distances' shape."""
        maps = []
        for scale in self.likenesses:
            exponents = -((distance / scale) ** 2)
            like = exponents.clamp(min=_LEAST_EXPONENT).exp()
            maps.append(torch.where(exponents > _LEAST_EXPONENT, like, 0.0))
        return maps

    def _maps_on(self, canvas: ClickCanvas, coords: Tensor, labels: Tensor, image: Tensor) -> list[Tensor]:
        """:meth:`click_maps` and :meth:`likeness_maps` of one crop's clicks, each (m, m, m), as drawn on a canvas."""
        size = self.config.output_size
        centres = (coords[0].float() + 0.5) * (size / self.config.image_size) - 0.5
        intensities = self._clicked_intensities(coords, image[:, 0].float())[0]
        drawings = canvas.drawings(image, centres, labels[0].bool().tolist(), intensities, self.sigmas)
        near = [total.clamp(max=1.0) for drawing in drawings for total in drawing.near]
        return [*near, *(one for drawing in drawings for one in self._likenesses_at(drawing.distance))]

    def _clicked_intensities(self, coords: Tensor, image: Tensor) -> Tensor:
        """Means over the 3^3 cells around clicks, as far as they are in the crop: image (B, m, m, m) -> (B, N).

        Gathered, so that it costs nothing to speak of; smoothing the crop would take as long as a convolution.
        """
        size = self.config.output_size
        offsets = torch.arange(-1, 2, device=coords.device)
        window = torch.cartesian_prod(offsets, offsets, offsets)
        cells = ((coords.float() + 0.5) * (size / self.config.image_size)).long().clamp(0, size - 1)
        cells = cells[:, :, None] + window  # (B, N, 27, 3)
        inside = ((cells >= 0) & (cells < size)).all(dim=3)
        r, a, s = cells.clamp(0, size - 1).unbind(3)
        around = image[torch.arange(len(cells), device=cells.device)[:, None, None], r, a, s]
        return (around * inside).sum(dim=2) / inside.sum(dim=2)

    def forward(self, coords: Tensor, labels: Tensor, image: Tensor, logits: Tensor | None = None,
                padding: bool | None = None, canvas: ClickCanvas | None = None) -> PromptFeatures:  # fmt: skip
        """Embeddings of the prompts.

        Args:
            coords: (B, N, 3) voxel indices (r, a, s) of the crop. labels: (B, N), 1 positive, 0 negative, -1 padding.
            image: (B, 1, m, m, m), the crop on the logits' grid.
            logits: previous logits (B, 1, m, m, m), or None at the first click.
            padding: whether some labels are -1; None: a CPU looks, any other device is prepared for it, since looking
                there means waiting, and cannot be recorded.
            canvas: for one crop on a CPU, without padding: knows what earlier clicks drew; the maps are the same up to
                rounding.
        """
        if padding is None:
            padding = labels.device.type != "cpu" or bool((labels < 0).any())
        valid = labels >= 0 if padding else None
        inputs = self._inputs(coords, labels, image, logits, canvas)
        quarter = self.at_quarter(inputs)
        eighth = self.at_eighth(quarter)
        maps_by_level = (self.at_half(inputs), quarter, eighth)
        tokens = self._tokens(coords[:, -MOST_TOKENS:], labels[:, -MOST_TOKENS:])
        valid = None if valid is None else valid[:, -MOST_TOKENS:]
        return PromptFeatures(tokens, valid, self.to_tokens(eighth), maps_by_level)

    def token_of(self, coords: Tensor, labels: Tensor) -> Tensor:
        """One click's token: coords (B, 1, 3), labels (B, 1) -> (B, C)."""
        return self._tokens(coords, labels)[:, 0]

    def memory_of(self, coords: Tensor, labels: Tensor, image: Tensor | None, logits: Tensor) -> tuple[Tensor, Tensor]:
        """What an interaction memory keeps of a click: its token (B, C) and the mask it led to (B, C, g, g, g).

        Args:
            coords: (B, 1, 3) voxel indices of the crop. labels: (B, 1).
            image: (B, 1, m, m, m), the crop on the logits' grid. logits: (B, 1, m, m, m) after the click.
        """
        assert image is not None
        if _can_look_at(labels) and not torch.is_grad_enabled():
            channels = self._channels_of(int(labels[0, 0]))
            with torch.autocast(coords.device.type, enabled=False):
                drawn = [(logits[0, 0].float() / 4).tanh(), *self._maps_on(ClickCanvas(), coords, labels, image)]
                some = torch.stack([drawn[channel] for channel in channels])[None]
            quarter = self.at_quarter(some.contiguous(memory_format=torch.channels_last_3d), channels)
        else:
            with torch.autocast(coords.device.type, enabled=False):
                maps = torch.cat([self.click_maps(coords, labels), self._likeness_to_one(coords, labels, image)], dim=1)
            quarter = self.at_quarter(self._with_past(maps, logits))
        return self.token_of(coords, labels), self.to_tokens(self.at_eighth(quarter))

    def _channels_of(self, sign: int) -> list[int]:
        """Where the last logits and the maps of one sign lie among all maps; of padding: the logits alone."""
        if sign < 0:
            return [0]
        near, like = len(self.sigmas), len(self.likenesses)
        others = 0 if sign == 1 else 1
        first, second = 1 + others * near, 1 + 2 * near + others * like
        return [0, *range(first, first + near), *range(second, second + like)]

    def _likeness_to_one(self, coords: Tensor, labels: Tensor, image: Tensor) -> Tensor:
        """:meth:`likeness_maps` of one click each, in half the time: one sign is looked at."""
        image = image[:, 0].float()
        clicked = self._clicked_intensities(coords, image)[:, 0]
        distance = (image - clicked[:, None, None, None]).abs()
        likeness = torch.stack([(-((distance / scale) ** 2)).exp() for scale in self.likenesses], dim=1)
        chosen = [(labels == sign).to(image.dtype)[..., None, None, None] for sign in (1, 0)]
        return torch.cat([likeness * sign for sign in chosen], dim=1)

    def _tokens(self, coords: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(coords.device.type, enabled=False):
            encoding = self.pe_layer((coords.float() + 0.5) / self.config.image_size)
        return encoding + self.point_embeddings(labels.clamp(min=0))

    def _inputs(self, coords: Tensor, labels: Tensor, image: Tensor, logits: Tensor | None,
                canvas: ClickCanvas | None) -> Tensor:  # fmt: skip
        with torch.autocast(coords.device.type, enabled=False):
            if canvas is None:
                maps = torch.cat([self.click_maps(coords, labels), self.likeness_maps(coords, labels, image)], dim=1)
                return self._with_past(maps, logits)
            drawn = self._maps_on(canvas, coords, labels, image)
            past = torch.zeros_like(drawn[0]) if logits is None else (logits[0, 0].to(drawn[0].dtype) / 4).tanh()
            # Stacked so that channels lie last at once, it takes twice as long.
            return torch.stack([past, *drawn])[None].contiguous(memory_format=torch.channels_last_3d)

    @staticmethod
    def _with_past(maps: Tensor, logits: Tensor | None) -> Tensor:
        past = torch.zeros_like(maps[:, :1]) if logits is None else (logits / 4).tanh()
        return torch.cat([past, maps], dim=1).contiguous(memory_format=torch.channels_last_3d)
