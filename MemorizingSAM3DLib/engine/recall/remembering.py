"""A finished structure as a case for the memory: embeddings and a coarse shape, nothing that shows the scan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import EngineError, VolumeError
from ..geometry import CropGrid
from ..memory.case_facts import MODALITIES, CaseFacts
from ..memory.case_layout import CaseLayout
from ..memory.case_memory import Added
from ..memory.errors import CaseMemoryError
from ..networks.config import NetworkConfig
from ..predictor import Predictor
from ..zoom import first_grid
from .calibration import Calibration, descriptor_size
from .case_attention import KeyRecorder, empty_tokens
from .descriptor import DESCRIPTOR_SIZE
from .structure_shape import ANCHORS, SHAPE_SIZE, StructureShape

LEAST_VOXELS = 8


def case_layout(config: NetworkConfig, layers: Sequence[int] = ()) -> CaseLayout:
    """What is remembered of a structure: descriptors of the crops around some places of it, and its coarse shape.

    Args:
        layers: encoder blocks whose keys and values are remembered, too, for attention to the case.

    Raises:
        CaseMemoryError: a block is not there, or has no attention.
    """
    size = descriptor_size(config)
    for layer in layers:
        if not config.attention_from <= layer < config.depth:
            raise CaseMemoryError(
                f"Block {layer} of this model's encoder has no attention to take part in.",
                f"Choose among the blocks {config.attention_from} to {config.depth - 1}.",
            )
    attended = ("float16", (config.heads, config.grid**3, config.width // config.heads))
    kept = {f"{kind}.{layer}": attended for layer in layers for kind in ("keys", "values")}
    return CaseLayout(
        {
            **kept,
            **({"features": ("float16", (DESCRIPTOR_SIZE,))} if layers else {}),
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
    modality = "PET" if predictor.modality == "PT" else predictor.modality
    modality = modality if modality in MODALITIES else ""
    facts = CaseFacts(structure.strip(), modality or "", source=source)
    memory = predictor.case_recall.memory
    layers = tuple(int(layer) for layer in memory.layout.layers)
    return memory.add(case_of(predictor, mask, predictor.case_recall.calibration, layers), facts)


def case_of(predictor: Predictor, mask: np.ndarray, calibration: Calibration,
            layers: Sequence[int] = ()) -> dict[str, np.ndarray]:  # fmt: skip
    """The arrays of a case, for a predictor that knows the scan; two crops a place are encoded.

    Args:
        mask: (K, J, I) bool on the scan's grid.
        calibration: of the predictor's encoder.
        layers: encoder blocks whose keys and values are noted, in the crop around the deepest place.

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
    grids = [_grid_at(predictor, centre + anchor) for anchor in shape.anchors]
    attended: dict[str, np.ndarray] = {}
    if layers:
        recorder = KeyRecorder(tuple(layers))
        predictor.encode(grids[0], recorder)
        attended = {**recorder.arrays, "features": recorder.described(empty_tokens(predictor.network, min(layers)))}
    described = np.stack([calibration.describe(predictor.surroundings(grid)) for grid in grids])
    nothing = ~described.any(axis=1)  # a crop that is empty to the encoder: no direction, no likeness
    described[nothing] = described[0]
    if not described[0].any() or ("features" in attended and not attended["features"].any()):
        raise VolumeError("There is nothing to see around the segment.", "Choose the scan that it belongs to.")
    return {
        **attended,
        "descriptor": described[0],
        "mask": shape.occupancy,
        "prior.anchors": shape.anchors,
        "prior.cell": np.array([shape.cell], np.float32),
        "prior.descriptors": described,
    }


def _grid_at(predictor: Predictor, ras: np.ndarray) -> CropGrid:
    r, a, s = ras.tolist()
    return first_grid(predictor.volume, (r, a, s), predictor.spacing_range, predictor.crop_size)
