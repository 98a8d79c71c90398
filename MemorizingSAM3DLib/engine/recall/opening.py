"""A case memory on the disk, made ready for a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..fingerprint import encoder_fingerprint
from ..memory.case_memory import CaseMemory
from ..memory.errors import CaseMemoryError
from ..memory.memorizing_attention import PAPER_RATIO, MemorizingAttention
from ..networks.sam3d import SAM3D
from .calibration import calibration_for
from .case_attention import DEFAULT_HEARD, CaseAttention, empty_tokens
from .case_recall import DEFAULT_NEIGHBOURS, CaseRecall
from .remembering import case_layout


def open_case_recall(path: Path, network: SAM3D, neighbours: int = DEFAULT_NEIGHBOURS,
                     structure: str | None = None) -> CaseRecall:  # fmt: skip
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
    return CaseRecall(memory, calibration_for(network, encoder), neighbours, structure)


def open_or_create_case_recall(path: Path, network: SAM3D, neighbours: int = DEFAULT_NEIGHBOURS,
                               structure: str | None = None, layers: Sequence[int] = ()) -> CaseRecall:  # fmt: skip
    """:func:`open_case_recall`; a folder that is not there, or empty, becomes a new, empty memory.

    Args:
        layers: encoder blocks whose keys and values are to be remembered, too.

    Raises:
        CaseMemoryError: see :func:`open_case_recall`, or a block has no attention. OutputError: the folder cannot be
            made.
    """
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        recall = open_case_recall(path, network, neighbours, structure)
        _require_layers(recall.memory, layers)
        return recall
    encoder = encoder_fingerprint(network)
    memory = CaseMemory.open_or_create(path, case_layout(network.config, layers), encoder)
    return CaseRecall(memory, calibration_for(network, encoder), neighbours, structure)


def attention_to(memory: CaseMemory, network: SAM3D, layers: Sequence[int], ratio: float = PAPER_RATIO,
                 neighbours: int = DEFAULT_HEARD) -> CaseAttention:  # fmt: skip
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
