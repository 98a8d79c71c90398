"""From where and how finely a training crop looks at a scan: drawn on the host, sampled on any device in one pass.

Numbers drawn on the host, given to the device without waiting for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from .cases import Case


def to_device(values: ArrayLike, device: torch.device) -> Tensor:
    """Values as a tensor on the device, float32 (bool stays bool).

    A copy that blocks would wait for all that the device still has to do; these few numbers are staged by the driver
    before the call returns, so that their array may go.
    """
    array = np.asarray(values)
    array = array if array.dtype == np.bool_ else array.astype(np.float32)
    return torch.from_numpy(array).to(device, non_blocking=True)


def column(values: ArrayLike, device: torch.device) -> Tensor:
    """One value for each of a batch of volumes: (B, 1, 1, 1)."""
    return to_device(values, device)[:, None, None, None]


FIRST_CROP_EXTENT_MM = (110.0, 345.0)  # edges of crops through which a session may look when it knows nothing
_FLIPS = (0.5, 0.15, 0.15)  # chances along R, A, S


@dataclass(frozen=True)
class RandomCrop:
    """A crop of a case.

    Attributes:
        case, label: number of the case and the label (or FOREGROUND) that is the target.
        matrix: (3, 3) crop voxels to scan voxels, about the crop's centre; turns, scales and flips.
        focus: (3,) scan voxel at the crop's centre.
        average: (3,) scan voxels along each axis that are averaged first, so that detail does not alias.
    """

    case: int
    label: int
    matrix: np.ndarray
    focus: np.ndarray
    average: tuple[int, int, int]


def random_crop(number: int, case: Case, label: int, rng: np.random.Generator, size: int,
                spacing_range: tuple[float, float]) -> RandomCrop:  # fmt: skip
    """A view whose voxel size follows the object, as in the session, or is that of a first look, whatever the object.

    Args:
        number: of the case. label: of its label map, or FOREGROUND. size: edge of the crop, voxels.
        spacing_range: voxel sizes of the crop, mm.
    """
    target, spacing = case.target(label), np.array(case.spacing)
    extent = float(((target.high - target.low) * spacing).max())
    fov = float((np.array(case.image.shape) * spacing).max())
    if rng.random() < 0.65:
        voxel_mm = extent * rng.uniform(1.3, 4.5) / size
    else:
        voxel_mm = min(rng.uniform(*FIRST_CROP_EXTENT_MM), fov) / size * rng.uniform(0.85, 1.15)
    voxel_mm = float(np.clip(voxel_mm, *spacing_range))

    inside = target.voxels[rng.integers(len(target.voxels))]
    focus = inside if rng.random() < 0.6 else (target.low + target.high - 1) / 2
    focus = focus + rng.normal(0, 0.06 * size * voxel_mm, 3) / spacing
    signs = np.where(rng.random(3) < _FLIPS, -1.0, 1.0)
    matrix = _random_rotation(rng) @ np.diag(voxel_mm * np.exp(rng.normal(0, 0.08, 3)) * signs)
    r, a, s = np.maximum(1, np.floor(voxel_mm / spacing + 0.4)).astype(int).tolist()
    return RandomCrop(number, label, matrix / spacing[:, None], focus, (r, a, s))


def box_of_random_crop(view: RandomCrop, shape: tuple[int, ...], size: int) -> tuple[slice, slice, slice]:
    """The scan voxels that the view needs, at least one."""
    average = np.array(view.average)
    reach = np.abs(view.matrix).sum(1) * size / 2 + 2 * average
    low = np.clip(np.floor(view.focus - reach), 0, np.array(shape) - 1).astype(int)
    high = np.clip(np.ceil(view.focus + reach) + 1, low + 1, shape).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))  # type: ignore[return-value]


def sample_random_crop(view: RandomCrop, image: Tensor, mask: Tensor, box: tuple[slice, slice, slice],
                size: int) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Image and target through a view, by linear interpolation, on the device of the tensors.

    Args:
        image, mask: the scan's voxels in the box of :func:`box_of_random_crop`, of any type.

    Returns:
        crop (size, size, size) float32, outside of the scan the lowest value that the view covers; target, 0 or 1;
        inside: bool, where the crop lies within the scan.
    """
    channels = torch.stack([image.float(), mask.float()])[None]
    average = [min(k, n) for k, n in zip(view.average, image.shape, strict=True)]
    if max(average) > 1:
        channels = functional.avg_pool3d(channels, average, ceil_mode=True)
    grid, inside = _grid(view, box, np.array(image.shape), np.array(channels.shape[2:]) * average, size, image.device)
    crop, target = functional.grid_sample(channels, grid, padding_mode="border", align_corners=False)[0]
    return torch.where(inside, crop, channels[0, 0].amin()), (target * inside > 0.5).float(), inside


def _grid(view: RandomCrop, box: tuple[slice, slice, slice], voxels: np.ndarray, cells: np.ndarray, size: int,
          device: torch.device) -> tuple[Tensor, Tensor]:  # fmt: skip
    """grid_sample's grid (1, size, size, size, 3), and where it lies within the box's voxels (size, size, size).

    Scan voxel p of the box, averaged or not, lies at 2 (p - start + 0.5) / cells - 1. Both are sums of a line along R
    and a plane along A and S, which is ten times as fast as affine_grid on a CPU.
    """
    start = np.array([part.start for part in box])
    centre = (view.focus + 0.5 - start) * 2 / cells - 1
    numbers = np.concatenate([(view.matrix * 2 / cells[:, None]).T, [centre], [voxels / cells]])
    placed = to_device(numbers, device)  # rows: steps along r, a, s, the centre, the edge
    steps = torch.arange(size, device=device, dtype=torch.float32)[:, None] - (size - 1) / 2
    line, plane = steps * placed[0] + placed[3], (steps * placed[1])[:, None] + steps * placed[2]
    grid = line.flip(-1)[:, None, None] + plane.flip(-1)
    # Cells go from -1 to 1, but voxels end at 2 voxels / cells - 1 where the last cell is not full.
    middle, half = placed[4] - 1, placed[4]
    line, plane = (line - middle) / half, plane / half
    within = [(line[:, axis, None, None] + plane[..., axis]).abs() <= 1 for axis in range(3)]
    return grid[None], within[0] & within[1] & within[2]


def _random_rotation(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.4:
        return np.eye(3)
    a, b, c = rng.normal(0, np.deg2rad(12), 3)
    about_r = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_a = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_s = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_r @ about_a @ about_s
