"""What the user is told about the work behind the clicks.

What the user is told when something went wrong.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.scene.compute.case_memory import CaseMemoryFacts

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.compute.engine_thread import Inference
    from MemorizingSAM3DLib.scene.compute.model_choice import LoadedModel


@dataclass(frozen=True)
class Status:
    """A moment of it.

    Attributes:
        model, device: titles; "" before a model was loaded. warning: plain words that stay, when it is slower than it
            could be, when memory ran out and something was given up, or when the scan is not what it says.
        busy: what is being computed, or None. progress: 0 to 1, None when not known. canCancel: whether that can be
            given up.
        lastClickMilliseconds: from the last edit to the segment in the scene.
        caseMemory: what it holds.
        hasInteractionMemory: whether the model has one; None before a model was loaded.
        interactionMemoryScans: the kinds of scans that it is used in, where the scan at hand is none of them.
        interactions: how many past clicks the next one in the selected segment uses.
        recalled: the remembered structure that the selected segment began from, "" if it has no name; None: from none.
        memoryNote: what was done with the case memory last, or "".
    """

    model: str
    device: str
    warning: str | None
    busy: str | None
    progress: float | None
    canCancel: bool
    lastClickMilliseconds: float | None
    caseMemory: CaseMemoryFacts = CaseMemoryFacts()
    hasInteractionMemory: bool | None = None
    interactionMemoryScans: tuple[str, ...] = ()
    interactions: int = 0
    recalled: str | None = None
    memoryNote: str = ""


def statusOf(inference: Inference, milliseconds: float | None, interactions: int = 0, recalled: str | None = None,
             note: str = "") -> Status:  # fmt: skip
    """The status of an `Inference` now. For the other arguments see `Status`."""
    loaded, job = inference.loaded, inference.worker.current
    device, warning = _machineOf(loaded) if loaded else ("", None)
    return Status(
        model=loaded.title if loaded else "",
        device=device,
        warning=" ".join(text for text in (warning, *inference.scanNotes) if text) or None,
        busy=job.text if job else None,
        progress=job.fraction if job else None,
        canCancel=job is not None and not job.token.cancelled,
        lastClickMilliseconds=milliseconds,
        caseMemory=inference.cases.facts,
        hasInteractionMemory=inference.hasInteractionMemory,
        interactionMemoryScans=inference.interactionMemoryScans,
        interactions=interactions,
        recalled=recalled,
        memoryNote=note,
    )


def _machineOf(loaded: LoadedModel) -> tuple[str, str | None]:
    """What computes now, and what the user should know of it: a GPU may have been left, its memory too small."""
    fallback = loaded.predictor.fallback
    graphs = loaded.predictor.graphs
    device = loaded.predictor.runtime.description if fallback.moved_from else loaded.device
    if graphs is not None and graphs.problem:
        device += ", without CUDA graphs"
    return device, " ".join(text for text in (loaded.warning, fallback.warning) if text) or None


# What PyTorch says: of a GPU, of the CPU's memory on Linux and macOS, and on Windows.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_REPORT = "Please report it, with the error log (menu Help, Report a Bug)."


def messageOf(error: BaseException) -> str:
    """Problem and remedy in plain words; what we did not foresee goes to the log with its traceback as well."""
    if isinstance(error, EngineError):
        return str(error)
    logging.error("MemorizingSAM3D", exc_info=error)
    words = str(error).strip()
    if isinstance(error, MemoryError) or any(phrase in words.lower() for phrase in _OUT_OF_MEMORY):
        return (
            "There is not enough memory for this. Close other scans or programs, or choose the CPU in the settings. "
            "The segment is as it was before."
        )
    return f"That did not work: {words or type(error).__name__}. The segment is as it was before. {_REPORT}"
