"""What the user is told about the work behind the clicks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from MemorizingSAM3DLib.scene.case_memory_access import CaseMemoryFacts

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.inference import Inference
    from MemorizingSAM3DLib.scene.model_choice import LoadedModel


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
        interactionMemoryScans: the kinds of scans that it is heard in, where the scan at hand is none of them.
        interactions: how many past clicks the next one in the selected segment hears.
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
    ladder = loaded.predictor.ladder
    graphs = loaded.predictor.graphs
    device = loaded.predictor.runtime.description if ladder.moved_from else loaded.device
    if graphs is not None and graphs.problem:
        device += ", without CUDA graphs"
    return device, " ".join(text for text in (loaded.warning, ladder.warning) if text) or None
