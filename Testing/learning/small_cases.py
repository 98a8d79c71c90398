"""Scans of a few thousand voxels whose structures are known."""

from __future__ import annotations

import numpy as np

from MemorizingSAM3DLib.learning.data.cases import Case


def a_case(name: str = "one/a", modality: str = "MR", seed: int = 0, dtype: type = np.int16) -> Case:
    """A body of 24 x 20 x 16 voxels of 2 x 2 x 3 mm in air, with a bright block (1) and a dark one (2) in noise."""
    rng = np.random.default_rng(seed)
    shape = (32, 28, 22)
    body, labels = np.zeros(shape, bool), np.zeros(shape, np.uint8)
    body[4:28, 4:24, 3:19] = True
    labels[7:15, 7:15, 6:13] = 1
    labels[18:24, 10:19, 8:14] = 2
    levels = np.where(body, 200, -900 if modality == "CT" else 0) + 150 * (labels == 1) - 90 * (labels == 2)
    image = levels + np.where(body, rng.normal(0, 12, shape), 0)
    dataset = name.split("/")[0]
    return Case(name, dataset, modality, image.astype(dtype), labels, (2.0, 2.0, 3.0), {1: "bright", 2: "dark"})
