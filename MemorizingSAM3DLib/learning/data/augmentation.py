"""Intensities of training crops, a batch at a time on any device: normalised as for inference, then changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks.config import Family
from MemorizingSAM3DLib.engine.networks.normalisation import CT_CENTRE_HU, CT_RANGE_HU, CT_SCALE_HU, ROBUST_PERCENTILES

from .views import column, to_device

_SAMPLES = 32  # an edge: so many voxels are sorted for percentiles


def normalised(crops: Tensor, inside: Tensor, is_ct: Sequence[bool], family: Family = "native") -> Tensor:
    """:func:`..engine.intensity.normalise` for a batch; percentiles come from a 32^3 subset of the voxels.

    Args:
        crops: (B, S, S, S) intensities, HU for CT. inside: bool, False where a crop lies outside of its scan.
        is_ct: whether each is known to be CT.
    """
    ct = column(np.array(is_ct, dtype=bool), crops.device)
    if family != "native":
        return _published(crops, ct)
    result = crops
    if any(is_ct):
        window = torch.asinh((crops.clamp(*CT_RANGE_HU) - CT_CENTRE_HU) / CT_SCALE_HU) / 2
        result = torch.where(ct, window, crops)
    if not all(is_ct):
        low, high = (part[:, None, None, None] for part in _foreground_range(crops, inside))
        stretched = ((crops - low) / (high - low) * 2 - 1).clamp(-1.5, 2.5)
        result = torch.where(ct, result, stretched)
    return result


@dataclass(frozen=True)
class IntensityChange:
    """How a crop's normalised intensities are changed: x * gain + offset, gamma on |x|, a smooth field added, ...

    Attributes:
        field: (3, 3, 3) knots of the bias field, or None. blur: mean of 3^3 voxels. noise: standard deviation.
    """

    gain: float
    offset: float
    gamma: float
    field: np.ndarray | None
    blur: bool
    noise: float
    inverted: bool


def random_change(rng: np.random.Generator) -> IntensityChange:
    """A change as scanners, protocols and preprocessing make them; inversion is rare."""
    return IntensityChange(
        gain=float(np.exp(rng.normal(0, 0.12))),
        offset=float(rng.normal(0, 0.12)),
        gamma=float(np.exp(rng.normal(0, 0.2))) if rng.random() < 0.3 else 1.0,
        field=rng.normal(0, 0.2, (3, 3, 3)).astype(np.float32) if rng.random() < 0.3 else None,
        blur=bool(rng.random() < 0.25),
        noise=float(rng.uniform(0, 0.12)) if rng.random() < 0.4 else 0.0,
        inverted=bool(rng.random() < 0.04),
    )


def augmented(crops: Tensor, changes: Sequence[IntensityChange], generator: torch.Generator) -> Tensor:
    """Crops (B, S, S, S) with a change each; what no crop of the batch needs is not computed.

    Args:
        generator: of the noise, on the crops' device.
    """
    device = crops.device
    signs = [-1.0 if c.inverted else 1.0 for c in changes]
    crops = crops * column([c.gain for c in changes], device) + column([c.offset for c in changes], device)
    if any(c.gamma != 1 for c in changes):
        crops = crops.sign() * crops.abs() ** column([c.gamma for c in changes], device)
    if any(c.field is not None for c in changes):
        knots = np.stack([np.zeros((3, 3, 3), np.float32) if c.field is None else c.field for c in changes])
        fields = to_device(knots, device)[:, None]
        crops = crops + functional.interpolate(fields, size=crops.shape[1:], mode="trilinear", align_corners=True)[:, 0]
    if any(c.blur for c in changes):
        blurred = functional.avg_pool3d(crops[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
        crops = torch.where(column([c.blur for c in changes], device), blurred, crops)
    if any(c.noise for c in changes):
        noise = torch.randn(crops.shape, generator=generator, device=device)
        crops = crops + noise * column([c.noise for c in changes], device)
    return crops * column(signs, device) if -1.0 in signs else crops


def _foreground_range(crops: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """1st and 99th percentiles of each crop's foreground: inside the scan and above its lowest value; (B,) each."""
    step = max(1, crops.shape[-1] // _SAMPLES)
    values, within = (part[:, ::step, ::step, ::step].flatten(1) for part in (crops, inside))
    lowest = values.masked_fill(~within, torch.inf).amin(1, keepdim=True)
    foreground = within & (values > lowest)
    # A constant crop has no foreground: its own value then, and the range below keeps it finite.
    chosen = torch.where(foreground.any(1, keepdim=True), foreground, torch.ones_like(within))
    ordered = values.masked_fill(~chosen, torch.inf).sort(1).values
    count = chosen.sum(1, keepdim=True)
    low, high = (
        ordered.gather(1, ((count - 1) * (percentile / 100)).round().long())[:, 0] for percentile in ROBUST_PERCENTILES
    )
    least = (1e-6 * torch.maximum(low.abs(), high.abs())).clamp(min=1e-12)
    return low, torch.maximum(high, low + least)


def _published(crops: Tensor, ct: Tensor) -> Tensor:
    crops = torch.where(ct, crops.clamp(-1000.0, 1000.0), crops)
    body = crops > 0
    count = body.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = (crops.double() * body).sum((1, 2, 3), keepdim=True) / count
    deviation = (((crops.double() - mean) ** 2 * body).sum((1, 2, 3), keepdim=True) / count).sqrt()
    return ((crops - mean) / torch.where(deviation > 0, deviation, 1.0)).float()
