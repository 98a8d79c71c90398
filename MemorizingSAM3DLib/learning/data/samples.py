"""Training samples on the CPU: a crop around a target, augmented, in one resampling pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks.config import Family, NetworkConfig, spacing_range_of

from ..synthetic.synthesis import synthesise
from .augmentation import augmented, normalised, random_change
from .cases import FOREGROUND, Case
from .manifest import DataError
from .views import box_of_random_crop, random_crop, sample_random_crop

FOREGROUND_SHARE = 0.15
LEAST_CELLS = 8  # fewer output voxels than that cannot be clicked sensibly
_TRIES = 20


@dataclass(frozen=True)
class Sample:
    """image: (1, S, S, S) normalised crop. target: (1, m, m, m) occupancy 0..1 on the logits' grid."""

    image: Tensor
    target: Tensor


class TargetChoice:
    """Which structure of which case: by dataset (weight: square root of its number of targets), then uniformly."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.datasets: dict[str, list[tuple[int, int]]] = {}
        for number, case in enumerate(cases):
            self.datasets.setdefault(case.dataset, []).extend((number, label) for label in case.structures)
        weights = np.sqrt([len(targets) for targets in self.datasets.values()]) if cases else np.zeros(0)
        self.weights = weights / weights.sum() if cases else weights

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """Number of the case, and a label of it or (in 15 %) FOREGROUND."""
        targets = list(self.datasets.values())[rng.choice(len(self.weights), p=self.weights)]
        number, label = targets[rng.integers(len(targets))]
        return number, FOREGROUND if rng.random() < FOREGROUND_SHARE else label


class SampleStream:
    """Sample number i is a function of (seed, i) alone, so a run resumes at any step.

    Args:
        cases: real scans; without any, all samples are synthetic, whatever their share.
        size, output_size: edges of the crop and of the target, voxels.
        family: of the network, which says how intensities are normalised and how finely crops are sampled.
    """

    def __init__(self, cases: list[Case], seed: int = 0, synthetic_share: float = 0.3, size: int = 128,
                 output_size: int = 64, family: Family = "native") -> None:  # fmt: skip
        self.cases, self.seed, self.synthetic_share = cases, seed, synthetic_share
        self.size, self.output_size, self.family = size, output_size, family
        self.choice = TargetChoice(cases)

    @classmethod
    def for_network(cls, config: NetworkConfig, cases: list[Case], seed: int, synthetic_share: float) -> SampleStream:
        """The stream whose crops and targets fit a network."""
        return cls(cases, seed, synthetic_share, config.image_size, config.output_size, config.family)

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng([self.seed, index])
        for _ in range(_TRIES):
            if not self.cases or rng.random() < self.synthetic_share:
                images, targets = synthesise(rng, self.size)
                image, target = standardised(images, self.family), targets
            else:
                number, label = self.choice.draw(rng)
                image, target = crop_of_case(self.cases[number], label, rng, self.size, self.family)
            pooled = occupancy(target, self.output_size)
            if (pooled > 0.5).sum() >= LEAST_CELLS:
                return Sample(image, pooled)
        raise DataError(
            f"{_TRIES} crops in a row had no target that can be clicked: the structures are too small for the network.",
            "Leave out structures of a few voxels, or add others.",
        )


def crop_of_case(case: Case, label: int, rng: np.random.Generator, size: int,
                 family: Family = "native") -> tuple[Tensor, Tensor]:  # fmt: skip
    """A normalised crop and its target, both (1, size, size, size), under a random view and random intensities.

    Args:
        label: of the case's label map, or FOREGROUND.
    """
    view = random_crop(0, case, label, rng, size, spacing_range_of(family, size))
    box = box_of_random_crop(view, case.image.shape, size)
    image = torch.from_numpy(np.array(case.image[box]))
    crop, target, inside = sample_random_crop(view, image, torch.from_numpy(case.mask(label, box)), box, size)
    is_ct = case.modality == "CT" and rng.random() < 0.9
    crops = normalised(crop[None], inside[None], [is_ct], family)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return augmented(crops, [random_change(rng)], generator), target[None]


def occupancy(targets: Tensor, output_size: int) -> Tensor:
    """Masks (B, S, S, S) to their share in each voxel of the logits' grid, (B, m, m, m)."""
    return functional.avg_pool3d(targets[:, None], targets.shape[-1] // output_size)[:, 0]


def standardised(images: Tensor, family: Family) -> Tensor:
    """Synthetic images (B, S, S, S) as a network of the family is used to: published ones have mean 0, deviation 1."""
    if family == "native":
        return images
    deviation, mean = torch.std_mean(images, dim=(1, 2, 3), keepdim=True)
    return (images - mean) / deviation.clamp(min=1e-6)
