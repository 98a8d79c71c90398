"""A case memory on the disk, made ready for a network."""

from __future__ import annotations

from pathlib import Path

from ..fingerprint import encoder_fingerprint
from ..memory.case_memory import CaseMemory
from ..memory.errors import CaseMemoryError
from ..networks.sam3d import SAM3D
from .calibration import calibration_for
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
                               structure: str | None = None) -> CaseRecall:  # fmt: skip
    """:func:`open_case_recall`; a folder that is not there becomes a new, empty memory.

    Raises:
        CaseMemoryError: see :func:`open_case_recall`. OutputError: the folder cannot be made.
    """
    if path.exists():
        return open_case_recall(path, network, neighbours, structure)
    encoder = encoder_fingerprint(network)
    memory = CaseMemory.open_or_create(path, case_layout(network.config), encoder)
    return CaseRecall(memory, calibration_for(network, encoder), neighbours, structure)


def _require(memory: CaseMemory, network: SAM3D) -> None:
    needed = case_layout(network.config)
    missing = [name for name in needed if name not in memory.layout or memory.layout[name] != needed[name]]
    if missing:
        raise CaseMemoryError(
            f"{memory.path} does not keep where structures were ({', '.join(missing)}).",
            "It was written by another program or version: build it again.",
        )
