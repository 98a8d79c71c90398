"""Training samples of networks with logits on the full grid: a crop with several targets, of scans and of scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig, spacing_range_of

from ..synthetic.scenes import LabelScene, anatomical_scene, made_scene
from ..synthetic.supervoxels import supervoxel_structure
from .cases import FOREGROUND, Case
from .manifest import DataError
from .random_crops import RandomCrop, random_crop
from .samples import Sample

LEAST_VOXELS = 12  # a smaller target in the crop cannot be prompted sensibly
BODY_SHARE = 0.06  # of the first targets of real crops
PART_SHARE, UNION_SHARE, COMPONENT_SHARE = 0.03, 0.06, 0.5
SUPERVOXEL_SHARE = 0.3  # of the further targets of real crops; where no other structure is in view, all
_MOST_WEIGHT = 14.0  # of a dataset, so that the largest does not take half of the training
_TRIES = 20


@dataclass(frozen=True)
class DataShares:
    """What samples are made of; what is left are crops around labelled structures.

    Attributes:
        supervoxels: crops of scans all of whose targets are supervoxels. made: scenes of random shapes.
        anatomical: rendered label maps.
    """

    supervoxels: float = 0.14
    made: float = 0.13
    anatomical: float = 0.09


class PromptedSamples:
    """Sample number i is a function of (seed, i) alone, so a run resumes at any step.

    Args:
        cases: labelled scans. unlabelled: scans for supervoxels alone. scenes: label maps without an image.
        targets: a crop.
    """

    def __init__(self, config: NetworkConfig, cases: Sequence[Case], unlabelled: Sequence[Case] = (),
                 scenes: Sequence[LabelScene] = (), seed: int = 0, targets: int = 2,
                 shares: DataShares | None = None) -> None:  # fmt: skip
        self.size = self.output_size = config.image_size
        self.spacing_range = spacing_range_of(config.family, self.size)
        self.cases, self.unlabelled, self.scenes = list(cases), list(unlabelled), list(scenes)
        self.seed, self.targets, self.shares = seed, targets, shares or DataShares()
        self._volumes: dict[str, Volume] = {}
        groups: dict[str, list[tuple[Case, int]]] = {}
        for case in self.cases:
            groups.setdefault(case.dataset, []).extend((case, label) for label in case.structures)
        self._groups = list(groups.values())
        weights = np.minimum(np.sqrt([len(group) for group in self._groups]), _MOST_WEIGHT)
        self._weights = weights / weights.sum() if len(weights) else weights

    def __getitem__(self, index: int) -> Sample:
        """The sample of a number; its target is (T, S, S, S) bool, one structure each.

        Raises:
            DataError: no crop had a target that can be prompted.
        """
        rng = np.random.default_rng([self.seed, index])
        for _ in range(_TRIES):
            image, found = self._drawn(rng)
            usable = [target for target in found if np.count_nonzero(target) >= LEAST_VOXELS]
            if usable:
                chosen = [usable[number % len(usable)] for number in range(self.targets)]
                return Sample(image, torch.from_numpy(np.stack(chosen)))
        raise DataError(
            f"{_TRIES} crops in a row had no target that can be prompted: the structures are too small.",
            "Leave out structures of a few voxels, or add others.",
        )

    def _drawn(self, rng: np.random.Generator) -> tuple[Tensor, list[np.ndarray]]:
        kind, shares = rng.random(), self.shares
        if not self.cases:  # there is nothing but scenes
            kind *= shares.made + shares.anatomical
        if self.scenes and shares.made <= kind < shares.made + shares.anatomical:
            image, targets = anatomical_scene(self.scenes, rng, self.size, self.targets)
            return image, list(targets.numpy() > 0)
        if not self.cases or kind < shares.made:
            image, targets = made_scene(rng, self.size, self.targets)
            return image, list(targets.numpy() > 0)
        group = self._groups[int(rng.choice(len(self._groups), p=self._weights))]
        case, label = group[int(rng.integers(len(group)))]
        if kind < shares.made + shares.anatomical + shares.supervoxels:
            if self.unlabelled and rng.random() < 0.3:
                case, label = self.unlabelled[int(rng.integers(len(self.unlabelled)))], FOREGROUND
            crop = self._crop(case, FOREGROUND if rng.random() < 0.5 else label, rng)
            return crop.image, self._supervoxels(crop, self.targets, rng)
        if rng.random() < BODY_SHARE:
            label = FOREGROUND
        crop = self._crop(case, label, rng)
        return crop.image, self._structures(crop, label, rng)

    def _crop(self, case: Case, label: int, rng: np.random.Generator) -> RandomCrop:
        if case.name not in self._volumes:
            # A view: a copy of each scan would double what all of them take.
            image = case.image.transpose(2, 1, 0)
            self._volumes[case.name] = Volume(image, np.diag([*case.spacing, 1.0]), modality=case.modality)
        return random_crop(case, self._volumes[case.name], label, rng, self.size, self.spacing_range)

    def _structures(self, crop: RandomCrop, label: int, rng: np.random.Generator) -> list[np.ndarray]:
        first = crop.occupancy(crop.case.mask(label)) > 0.5
        found = [_varied(first, rng)]
        others = [other for other in crop.labels_inside().tolist() if other != label and other in crop.case.structures]
        while len(found) < self.targets:
            if others and rng.random() >= SUPERVOXEL_SHARE:
                other = others.pop(int(rng.integers(len(others))))
                mask = crop.case.mask(other)
                if others and rng.random() < UNION_SHARE:
                    mask = mask | crop.case.mask(others[int(rng.integers(len(others)))])
                found.append(_varied(crop.occupancy(mask) > 0.5, rng))
            else:
                found += self._supervoxels(crop, 1, rng) or [found[0]]
        return found

    @staticmethod
    def _supervoxels(crop: RandomCrop, count: int, rng: np.random.Generator) -> list[np.ndarray]:
        made = [supervoxel_structure(crop.unchanged, crop.inside, rng) for _ in range(count)]
        return [one for one in made if one is not None]


def _varied(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mostly the structure itself; of one in several parts often a part alone; now and then what a plane leaves."""
    if rng.random() < COMPONENT_SHARE:
        parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
        if count > 1:
            volumes = np.bincount(parts.ravel())[1:]
            mask = parts == 1 + int(rng.choice(count, p=volumes / volumes.sum()))
    if rng.random() < PART_SHARE and mask.any():
        places = np.argwhere(mask)
        normal = rng.normal(size=3)
        middle = places[int(rng.integers(len(places)))]
        steps = np.indices(mask.shape).reshape(3, -1).T - middle
        mask = mask & ((steps @ normal) > 0).reshape(mask.shape)
    return mask
