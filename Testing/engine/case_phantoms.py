"""Small remembered cases for tests."""

from __future__ import annotations

import numpy as np

from MemorizingSAM3DLib.engine.case_memory.case import CaseFacts, CaseLayout

ENCODER = "ab" * 32
LAYOUT = CaseLayout(
    {
        "descriptor": ("float16", (16,)),
        "keys.8": ("float16", (2, 27, 8)),
        "values.8": ("float16", (2, 27, 8)),
        "mask": ("uint8", (3, 3, 3)),
        "prior.weight": ("float32", (5,)),
    }
)


def a_case(seed: int, layout: CaseLayout = LAYOUT) -> dict[str, np.ndarray]:
    """Random arrays of a layout, another case for another seed."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, (dtype, shape) in layout.items():
        values = rng.normal(size=shape) if dtype.startswith("float") else rng.integers(0, 100, shape)
        arrays[name] = (values / np.linalg.norm(values) if name == "descriptor" else values).astype(dtype)
    return arrays


def facts(structure: str = "liver", modality: str = "CT", source: str = "user") -> CaseFacts:
    return CaseFacts(structure=structure, modality=modality, created="2026-11-21", source=source)
