"""A finished structure as a case for the memory: embeddings and a coarse shape, nothing that shows the scan.

A case memory on the disk, made ready for a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..case_memory.attention import DEFAULT_ATTENDED, CaseAttention, KeyRecorder, empty_tokens
from ..case_memory.case import MODALITIES, CaseFacts, CaseLayout
from ..case_memory.descriptor import DESCRIPTOR_SIZE, Calibration, calibration_for, descriptor_size
from ..case_memory.memory import Added, CaseMemory
from ..case_memory.retrieval import DEFAULT_NEIGHBOURS, CaseRetrieval
from ..case_memory.shape_prior import ANCHORS, SHAPE_SIZE, StructureShape
from ..errors import CaseMemoryError, EngineError, VolumeError
from ..geometry import CropGrid
from ..models.weights_file import encoder_fingerprint
from ..networks.config import NetworkConfig
from ..networks.memorizing_attention import PAPER_RATIO, MemorizingAttention
from ..networks.sam3d import SAM3D
from .crop_policy import first_grid
from .predictor import Predictor

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
    if predictor.case_retrieval is None:
        raise EngineError("No case memory is in use.", "Choose or make one first.")
    modality = "PET" if predictor.modality == "PT" else predictor.modality
    modality = modality if modality in MODALITIES else ""
    facts = CaseFacts(structure.strip(), modality or "", source=source)
    memory = predictor.case_retrieval.memory
    layers = tuple(int(layer) for layer in memory.layout.layers)
    return memory.add(case_of(predictor, mask, predictor.case_retrieval.calibration, layers), facts)


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
    described = np.stack([calibration.describe(predictor.multi_scale_features(grid)) for grid in grids])
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


def open_case_retrieval(path: Path, network: SAM3D, neighbours: int = DEFAULT_NEIGHBOURS,
                     structure: str | None = None) -> CaseRetrieval:  # fmt: skip
    """The memory at a path, for a network.

    Args:
        path: folder or single file of a memory.
        neighbours: how many cases are listened to. structure: only cases of this name are; None: all.

    Raises:
        CaseMemoryError: it is missing, damaged, of another encoder, or keeps other things of a case.
    """
    encoder = encoder_fingerprint(network)
    memory = CaseMemory.open(path, encoder)
    _require(memory, network)
    return CaseRetrieval(memory, calibration_for(network, encoder), neighbours, structure)


def open_or_create_case_retrieval(path: Path, network: SAM3D, neighbours: int = DEFAULT_NEIGHBOURS,
                               structure: str | None = None, layers: Sequence[int] = ()) -> CaseRetrieval:  # fmt: skip
    """:func:`open_case_retrieval`; a folder that is not there, or empty, becomes a new, empty memory.

    Args:
        layers: encoder blocks whose keys and values are to be remembered, too.

    Raises:
        CaseMemoryError: see :func:`open_case_retrieval`, or a block has no attention. OutputError: the folder cannot be
            made.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        retrieval = open_case_retrieval(path, network, neighbours, structure)
        _require_layers(retrieval.memory, layers)
        return retrieval
    encoder = encoder_fingerprint(network)
    memory = CaseMemory.open_or_create(path, case_layout(network.config, layers), encoder)
    return CaseRetrieval(memory, calibration_for(network, encoder), neighbours, structure)


def attention_to(memory: CaseMemory, network: SAM3D, layers: Sequence[int], ratio: float = PAPER_RATIO,
                 neighbours: int = DEFAULT_ATTENDED) -> CaseAttention:  # fmt: skip
    """The attention of a network's encoder to a memory's cases.

    Args:
        memory: of this network's encoder. layers: numbers of the blocks that attend, at least one.
        ratio: of the local attention in the output, 0..1. neighbours: how many cases are attended to.

    Raises:
        CaseMemoryError: the memory keeps no keys and values of a layer.
        ValueError: the ratio is none.
    """
    _require_layers(memory, layers)
    fused = {layer: MemorizingAttention(ratio) for layer in layers}
    # Cases are found by the tokens at the memory's first block, whichever blocks attend.
    first = min(int(layer) for layer in memory.layout.layers)
    device = next(network.parameters()).device
    return CaseAttention(memory, fused, empty_tokens(network, first), neighbours, device)


def _require(memory: CaseMemory, network: SAM3D) -> None:
    needed = case_layout(network.config)
    missing = [name for name in needed if name not in memory.layout or memory.layout[name] != needed[name]]
    if missing:
        raise CaseMemoryError(
            f"{memory.path} does not keep where structures were ({', '.join(missing)}).",
            "It was written by another program or version: build it again.",
        )


def _require_layers(memory: CaseMemory, layers: Sequence[int]) -> None:
    missing = [str(layer) for layer in layers if str(layer) not in memory.layout.layers]
    if missing:
        raise CaseMemoryError(
            f"{memory.path} keeps no keys and values of block {', '.join(missing)}.",
            "Build another one: memorizing-sam3d memory build --attention-layers",
        )
