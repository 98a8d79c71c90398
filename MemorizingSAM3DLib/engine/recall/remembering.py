"""A finished structure as a case for the memory: embeddings and a coarse shape, nothing that shows the scan."""

from __future__ import annotations

import numpy as np

from ..errors import EngineError, VolumeError
from ..geometry import CropGrid
from ..memory.case_facts import MODALITIES, CaseFacts
from ..memory.case_layout import CaseLayout
from ..memory.case_memory import Added
from ..networks.config import NetworkConfig
from ..predictor import Predictor
from ..zoom import first_grid
from .calibration import Calibration, descriptor_size
from .structure_shape import ANCHORS, SHAPE_SIZE, StructureShape

LEAST_VOXELS = 8


def case_layout(config: NetworkConfig) -> CaseLayout:
    """What is remembered of a structure: descriptors of the crops around some places of it, and its coarse shape."""
    size = descriptor_size(config)
    return CaseLayout(
        {
            "descriptor": ("float16", (size,)),
            "mask": ("uint8", (SHAPE_SIZE,) * 3),
            "prior.anchors": ("float32", (ANCHORS, 3)),
            "prior.cell": ("float32", (1,)),
            "prior.descriptors": ("float16", (ANCHORS, size)),
        }
    )


def remember(predictor: Predictor, mask: np.ndarray, structure: str = "", source: str = "user") -> Added:
    """Adds a finished structure to the predictor's case memory.

    Args:
        predictor: knows the scan and has a case memory. mask: (K, J, I) bool on the scan's grid.
        structure: its name in the annotator's words, at most 64 characters; nothing of the patient belongs into it.
        source: "user" or "training".

    Raises:
        EngineError: there is no case memory. VolumeError: the mask cannot be remembered. CaseMemoryError, OutputError:
            the memory cannot be written; nothing has changed then.
    """
    if predictor.case_recall is None:
        raise EngineError("No case memory is in use.", "Choose or make one first.")
    modality = predictor.modality if predictor.modality in MODALITIES else ""
    facts = CaseFacts(structure.strip(), modality or "", source=source)
    return predictor.case_recall.memory.add(case_of(predictor, mask, predictor.case_recall.calibration), facts)


def case_of(predictor: Predictor, mask: np.ndarray, calibration: Calibration) -> dict[str, np.ndarray]:
    """The arrays of a case, for a predictor that knows the scan; one crop a place is encoded.

    Args:
        mask: (K, J, I) bool on the scan's grid.
        calibration: of the predictor's encoder.

    Raises:
        VolumeError: the mask has too few voxels to be remembered, or is on another grid.
    """
    volume = predictor.volume
    if mask.shape != volume.shape:
        raise VolumeError(f"The segment's grid {mask.shape} is not the scan's {volume.shape}.",
                          "Resample the segment to the scan first.")  # fmt: skip
    if int(np.count_nonzero(mask)) < LEAST_VOXELS:
        raise VolumeError("The segment is empty, or nearly so.", "Segment the structure before it is remembered.")
    shape, centre = StructureShape.of(volume, mask)
    described = np.stack([_descriptor_at(predictor, centre + anchor, calibration) for anchor in shape.anchors])
    return {
        "descriptor": described[0],
        "mask": shape.occupancy,
        "prior.anchors": shape.anchors,
        "prior.cell": np.array([shape.cell], np.float32),
        "prior.descriptors": described,
    }


def _descriptor_at(predictor: Predictor, ras: np.ndarray, calibration: Calibration) -> np.ndarray:
    r, a, s = ras.tolist()
    grid: CropGrid = first_grid(predictor.volume, (r, a, s), predictor.spacing_range, predictor.crop_size)
    return calibration.describe(predictor.features(grid))
