"""Training samples: a crop around a target, augmented, in one resampling pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch
from torch import Tensor
from torch.nn import functional

from ..engine.intensity import normalise
from .cases import Case
from .synthesis import synthesise

DEFAULT_SPACING_MM = 1.5
SPACING_RANGE_MM = (0.5, 3.0)
FOREGROUND = 0  # not a label of any structure: the whole body, so that large composite objects are seen too
FOREGROUND_SHARE = 0.15


@dataclass(frozen=True)
class Sample:
    """image: (1, S, S, S) normalised crop. target: (1, m, m, m) occupancy 0..1 on the logits' grid."""

    image: Tensor
    target: Tensor


class SampleStream:
    """Sample number i is a function of (seed, i) alone, so a run resumes at any step.

    A case is chosen by dataset (weight: square root of its number of targets), then uniformly; a share of the samples
    is synthetic.
    """

    def __init__(self, cases: list[Case], seed: int = 0, synthetic_share: float = 0.3, size: int = 128,
                 output_size: int = 64) -> None:  # fmt: skip
        self.cases, self.seed, self.synthetic_share = cases, seed, synthetic_share
        self.size, self.output_size = size, output_size
        self.datasets: dict[str, list[tuple[int, int]]] = {}
        for number, case in enumerate(cases):
            self.datasets.setdefault(case.dataset, []).extend((number, label) for label in case.structures)
        weights = np.sqrt([len(targets) for targets in self.datasets.values()]) if cases else np.zeros(0)
        self.weights = weights / weights.sum() if cases else weights

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        for _ in range(20):
            if not self.cases or rng.random() < self.synthetic_share:
                image, target = synthesise(rng, self.size)
            else:
                targets = list(self.datasets.values())[rng.choice(len(self.weights), p=self.weights)]
                number, label = targets[rng.integers(len(targets))]
                if rng.random() < FOREGROUND_SHARE:
                    label = FOREGROUND
                image, target = crop_of_case(self.cases[number], label, rng, self.size)
            pooled = functional.avg_pool3d(target[None], self.size // self.output_size)[0]
            if (pooled > 0.5).sum() >= 8:  # fewer output voxels than that cannot be clicked sensibly
                return Sample(image, pooled)
        raise RuntimeError("Twenty crops in a row had no target: the cases are too small for the model's resolution.")


def crop_of_case(case: Case, label: int, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    """A normalised crop and its target, both (1, size, size, size), under a random view and random intensities.

    The crop's voxel size follows the object, as in the session, or is about 1.5 mm, whatever the object.

    Args:
        label: of the case's label map, or :data:`FOREGROUND`.
    """
    mask = foreground(case) if label == FOREGROUND else case.labels == label
    voxels = np.argwhere(mask)
    spacing = np.array(case.spacing)
    extent = float(((voxels.max(0) - voxels.min(0) + 1) * spacing).max())
    fov = float((np.array(mask.shape) * spacing).max())
    if rng.random() < 0.65:
        voxel_mm = extent * rng.uniform(1.3, 4.5) / size
    else:
        voxel_mm = min(DEFAULT_SPACING_MM, fov / size) * rng.uniform(0.85, 1.15)
    voxel_mm = float(np.clip(voxel_mm, *SPACING_RANGE_MM))

    focus = voxels[rng.integers(len(voxels))] if rng.random() < 0.6 else (voxels.max(0) + voxels.min(0)) / 2
    focus = focus + rng.normal(0, 0.06 * size * voxel_mm, 3) / spacing
    matrix = _random_rotation(rng) @ np.diag(voxel_mm * np.exp(rng.normal(0, 0.08, 3)))
    matrix = np.diag(1 / spacing) @ matrix  # crop voxels -> scan voxels, about the centres

    image = torch.from_numpy(np.ascontiguousarray(case.image)).float()[None]
    channels, factor = torch.cat([image, torch.from_numpy(mask).float()[None]]), 1
    if voxel_mm > 1.6 * float(spacing.max()):  # shrinking: average first, so that detail does not alias
        channels, factor = functional.avg_pool3d(channels, 2), 2
    low = channels[0].min()
    grid, inside = _sampling_grid(matrix, focus, size, channels.shape[1:], factor)
    channels[0] -= low  # so that the padding, zero, is the scan's lowest value
    crop, target = functional.grid_sample(channels[None], grid, align_corners=True)[0]
    crop += low

    modality = case.modality if rng.random() < 0.9 else None
    normalised = torch.from_numpy(normalise(crop.numpy(), inside, modality))
    normalised = augment_intensity(normalised, rng)
    normalised, target = _random_flips(normalised, target, rng)
    return normalised[None], (target > 0.5).float()[None]


def foreground(case: Case) -> np.ndarray:
    """The body (or the brain of a skull-stripped scan): the largest part above Otsu's threshold, its holes filled."""
    image = sitk.GetImageFromArray(case.image)
    parts = sitk.ConnectedComponent(sitk.OtsuThreshold(image, 0, 1))
    largest = sitk.RelabelComponent(parts, sortByObjectSize=True) == 1
    return sitk.GetArrayFromImage(sitk.BinaryFillhole(largest)).astype(bool)


def augment_intensity(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """Random gain, offset, gamma, smooth bias field, noise, blur and (rarely) inversion of a normalised crop."""
    crop = crop * float(np.exp(rng.normal(0, 0.12))) + float(rng.normal(0, 0.12))
    if rng.random() < 0.3:
        crop = crop.sign() * crop.abs() ** float(np.exp(rng.normal(0, 0.2)))
    if rng.random() < 0.3:
        field = torch.from_numpy(rng.normal(0, 0.2, (1, 1, 3, 3, 3)).astype(np.float32))
        crop = crop + functional.interpolate(field, size=crop.shape, mode="trilinear", align_corners=True)[0, 0]
    if rng.random() < 0.25:
        crop = functional.avg_pool3d(crop[None], 3, stride=1, padding=1)[0]
    if rng.random() < 0.4:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        crop = crop + torch.randn(crop.shape, generator=generator) * float(rng.uniform(0, 0.12))
    return -crop if rng.random() < 0.04 else crop


def _random_rotation(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.4:
        return np.eye(3)
    a, b, c = rng.normal(0, np.deg2rad(12), 3)
    about_r = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_a = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_s = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_r @ about_a @ about_s


def _sampling_grid(matrix: np.ndarray, focus: np.ndarray, size: int, shape: torch.Size,
                   factor: int) -> tuple[Tensor, np.ndarray]:  # fmt: skip
    """grid_sample's grid (1, size, size, size, 3) and where it lies inside the scan."""
    steps = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    m = torch.from_numpy(matrix.astype(np.float32))
    along_r, along_a, along_s = steps[:, None, None, None], steps[None, :, None, None], steps[None, None, :, None]
    centre = torch.from_numpy(np.asarray(focus, dtype=np.float32))
    position = along_r * m[:, 0] + along_a * m[:, 1] + along_s * m[:, 2] + centre
    position = (position + 0.5) / factor - 0.5
    limits = torch.tensor(shape, dtype=torch.float32)
    inside = ((position > -0.5) & (position < limits - 0.5)).all(-1).numpy()
    scaled = 2 * position / (limits - 1).clamp(min=1) - 1
    return scaled.flip(-1)[None], inside


def _random_flips(crop: Tensor, target: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    axes = [axis for axis, chance in enumerate((0.5, 0.15, 0.15)) if rng.random() < chance]
    return (crop.flip(axes), target.flip(axes)) if axes else (crop, target)
