"""Random projection of a crop's features to a short vector.

What a remembered place is known by: the crop of a first look, and a closer one about the same place.

The wide one says where in the body the place is, the close one what is there. Over 414 places of training cases, a
remembered structure was recognised at 69 % of them with both, at 59 % with either (one in ten that was not remembered
taken for another).

What the recall knows of an encoder: the mean of its features, and how alike crops of one structure are to it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.special import expit
from torch import Tensor

from ..errors import CheckpointError
from ..files import resource_path
from ..geometry import CropGrid
from ..models.weights_file import WeightsFile
from ..networks.config import NetworkConfig
from ..networks.image_encoder import ImageFeatures
from ..networks.sam3d import SAM3D

DESCRIPTOR_SIZE = 1024


def projected(features: np.ndarray) -> np.ndarray:
    """Many numbers to few, at random, so that angles between vectors stay what they are within a few hundredths.

    By feature hashing (Weinberger et al. 2009, eq. 2), which needs no stored matrix. The features keep their places in
    the crop: the result says where in the anatomy the crop's centre lies, not only what the crop holds. Take the mean
    over many crops away first, or the positional part makes all crops alike.

    Args:
        features: of any shape.

    Returns:
        (DESCRIPTOR_SIZE,) float32.
    """
    flat = np.asarray(features, np.float32).ravel()
    places, signs = _hashes(flat.size)
    return np.bincount(places, flat * signs, DESCRIPTOR_SIZE).astype(np.float32)


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector at length 1; one of length 0 stays."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)


class Projection:
    """:func:`projected` of what is on a device already, without a copy to the processor.

    Args:
        count: numbers that are projected. device: where they are.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        places, signs = _hashes(count)
        order = np.argsort(places, kind="stable")
        counts = np.bincount(places, minlength=DESCRIPTOR_SIZE)
        ranks = np.arange(count) - np.repeat(np.cumsum(counts) - counts, counts)
        gathered, factors = (np.zeros((DESCRIPTOR_SIZE, int(counts.max())), kind) for kind in (np.int64, np.float32))
        gathered[places[order], ranks], factors[places[order], ranks] = order, signs[order]
        self._gathered, self._factors = (torch.from_numpy(part).to(device) for part in (gathered, factors))

    def __call__(self, features: Tensor) -> Tensor:
        """(DESCRIPTOR_SIZE,) float32 of so many numbers, in any shape."""
        return (features.float().flatten()[self._gathered] * self._factors).sum(1)


@lru_cache(maxsize=4)
def _hashes(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Place and sign of each number, by SplitMix64's mixing of its index: the same on every machine, for ever."""
    with np.errstate(over="ignore"):
        mixed = (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    signs = np.where(mixed >> np.uint64(63), -1, 1).astype(np.float32)
    return (mixed % np.uint64(DESCRIPTOR_SIZE)).astype(np.int64), signs


LOOKS = 2
_CLOSER = 0.5  # of the wide one's edge


def finer_grid(grid: CropGrid, spacing_range: tuple[float, float]) -> CropGrid:
    """The close look about the same place, as far as the network knows voxels as fine as that, mm."""
    finest, coarsest = spacing_range
    return CropGrid(grid.center_ras, min(max(grid.spacing * _CLOSER, finest), coarsest), grid.size)


def multi_scale_descriptor(wide: ImageFeatures, close: ImageFeatures) -> ImageFeatures:
    """Both encoded crops as one: twice the channels of the embedding, twice as many skips. Not to be decoded."""
    return ImageFeatures(torch.cat([wide.embedding, close.embedding], dim=1), (*wide.skips, *close.skips))


SHIPPED = "case_recall_v4.safetensors"
_FORMAT, _VERSION = "memorizing-sam3d recall calibration", 2
_LOCAL_SHARE = 0.5  # of the centre's appearance against the crop's layout; 0.8 and 1.2 told structures apart less well
DIRECTIONS = 128  # that are damped at most
_MOST_VALUES = 2**22
_REINSTALL = "Install MemorizingSAM3D again."


class CropFacts(NamedTuple):
    """What a descriptor is made of.

    Attributes:
        layout: (2 C, g, g, g) float32, the embeddings of both looks. local: (L,) float32, the skip stem's features at
            their centre, all levels; L is 0 for networks without one.
    """

    layout: np.ndarray
    local: np.ndarray

    @classmethod
    def of(cls, features: ImageFeatures) -> CropFacts:
        """Of an encoded place (:func:`multi_scale_descriptor`), batch 1."""
        centres = []
        for level in features.skips:
            middle = level.shape[-1] // 2
            near = slice(middle - 1, middle + 1)
            centres.append(level[0, :, near, near, near].float().mean((1, 2, 3)).cpu().numpy())
        local = np.concatenate(centres) if centres else np.zeros(0, np.float32)
        return cls(features.embedding[0].float().cpu().numpy(), local)


def descriptor_size(config: NetworkConfig) -> int:
    """Numbers of a descriptor."""
    return DESCRIPTOR_SIZE + LOOKS * sum(config.upscale_channels if config.stem_channels else ())


@dataclass(frozen=True, eq=False)
class Calibration:
    """Measured on training cases, once an encoder (``memorizing-sam3d memory calibrate``).

    Directions in which crops at the same place of different patients differ say nothing about the place: they are
    damped (within-class covariance normalisation, Hatch 2006). That told structures apart much better, also structures
    on which it was not measured.

    Attributes:
        mean: (2 C, g, g, g) float32, the mean of :attr:`CropFacts.layout` over clicked places.
        local_mean, local_scale: (L,) float32, mean and standard deviation of :attr:`CropFacts.local`.
        slope, middle: the probability that a remembered place of this cosine is one of the same structure is
            1 / (1 + exp(-slope (cosine - middle))).
        encoder: fingerprint of the encoder it was measured for; empty: none, the values are a cautious guess.
        directions: (D, DIRECTIONS) float32, orthonormal columns or zeros.
        damping: (DIRECTIONS,) float32, 0..1, how much of each is taken away. None: nothing is.
    """

    mean: np.ndarray
    local_mean: np.ndarray
    local_scale: np.ndarray
    slope: float
    middle: float
    encoder: str = ""
    directions: np.ndarray | None = None
    damping: np.ndarray | None = None

    def describe(self, features: ImageFeatures) -> np.ndarray:
        """An encoded place's descriptor, float32 of unit length: its layout, and what is at its centre."""
        return self.describe_facts(CropFacts.of(features))

    def describe_facts(self, facts: CropFacts) -> np.ndarray:
        """:meth:`describe` of what was noted of a crop."""
        layout = unit(projected(facts.layout - self.mean))
        local = unit((facts.local - self.local_mean) / self.local_scale)
        both = unit(np.concatenate([layout, _LOCAL_SHARE * local]))
        if self.directions is None or self.damping is None:
            return both
        return unit(both - self.directions @ (self.damping * (both @ self.directions)))

    def probability(self, cosine: float) -> float:
        """That a remembered place is one of the same structure."""
        return float(expit(self.slope * (cosine - self.middle)))

    def save(self, path: Path) -> None:
        """Writes it as safetensors, the large arrays in half precision."""
        width = DESCRIPTOR_SIZE + len(self.local_mean)
        directions = np.zeros((width, DIRECTIONS)) if self.directions is None else self.directions
        damping = np.zeros(DIRECTIONS, np.float32) if self.damping is None else self.damping
        facts = {"slope": self.slope, "middle": self.middle, "encoder": self.encoder, "version": _VERSION}
        arrays = {
            "mean": self.mean.astype(np.float16), "local_mean": self.local_mean, "local_scale": self.local_scale,
            "directions": directions.astype(np.float16), "damping": damping,
        }  # fmt: skip
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        save_file(tensors, path, {"format": _FORMAT, "facts": json.dumps(facts)})

    @classmethod
    def load(cls, path: Path, config: NetworkConfig) -> Calibration:
        """Reads one.

        Args:
            config: of the network that it is for.

        Raises:
            CheckpointError: the file is missing, damaged, something else, or for embeddings of another shape.
        """
        file = WeightsFile(path)
        facts = _facts(file)
        shape = (LOOKS * config.embedding_channels,) + (config.grid,) * 3
        if math.prod(shape) > _MOST_VALUES:
            raise CheckpointError(f"{path} is for other embeddings.", _REINSTALL)
        local = torch.Size((descriptor_size(config) - DESCRIPTOR_SIZE,))
        expected = {
            "mean": torch.Size(shape), "local_mean": local, "local_scale": local,
            "directions": torch.Size((descriptor_size(config), DIRECTIONS)), "damping": torch.Size((DIRECTIONS,)),
        }  # fmt: skip
        arrays = {name: tensor.numpy() for name, tensor in file.read(expected).items()}
        try:
            numbers = float(facts["slope"]), float(facts["middle"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged ({error}).", _REINSTALL) from error
        slope, middle = numbers
        return cls(slope=slope, middle=middle, encoder=str(facts.get("encoder", "")), **arrays)


def calibration_for(network: SAM3D, encoder: str) -> Calibration:
    """The shipped calibration when it is for this encoder; else a guess that asks for greater likeness.

    The guess takes the embedding of an empty crop for the mean: what is the same in all crops is mostly the positions.

    Args:
        encoder: the network's fingerprint.

    Raises:
        CheckpointError: the shipped file is damaged.
    """
    config = network.config
    try:
        path: Path | None = resource_path("Models", SHIPPED)
    except FileNotFoundError:
        path = None
    if path is not None and _facts(WeightsFile(path)).get("encoder") == encoder:
        return Calibration.load(path, config)
    device = next(network.parameters()).device
    with torch.inference_mode():
        features = network.encode(torch.zeros(1, 1, *(config.image_size,) * 3, device=device))
        empty = CropFacts.of(multi_scale_descriptor(features, features))
    return Calibration(empty.layout, empty.local, np.ones_like(empty.local), 20.0, 0.85)


def _facts(file: WeightsFile) -> dict[str, Any]:
    try:
        facts = json.loads(file.metadata["facts"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{file.path} is no calibration of the case memory.", _REINSTALL) from error
    if file.metadata.get("format") != _FORMAT or not isinstance(facts, dict):
        raise CheckpointError(f"{file.path} is no calibration of the case memory.", _REINSTALL)
    return facts
