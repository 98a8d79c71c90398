"""Random projection of a crop's features to a short vector."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

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
