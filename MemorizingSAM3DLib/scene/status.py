"""What the user is told about the work behind the clicks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from MemorizingSAM3DLib.scene.inference import Inference

_NO_MEMORY = "Not part of this version."


@dataclass(frozen=True)
class Status:
    """A moment of it.

    Attributes:
        model, device: titles; "" before a model was loaded. warning: plain words that stay, when it is slower than it
            could be.
        busy: what is being computed, or None. progress: 0 to 1, None when not known. canCancel: whether that can be
            given up.
        lastClickMilliseconds: from the last edit to the segment in the scene.
        caseMemory, interactionMemory: what they hold.
    """

    model: str
    device: str
    warning: str | None
    busy: str | None
    progress: float | None
    canCancel: bool
    lastClickMilliseconds: float | None
    caseMemory: str = _NO_MEMORY
    interactionMemory: str = _NO_MEMORY


def statusOf(inference: Inference, milliseconds: float | None) -> Status:
    """The status of an `Inference` now."""
    loaded, job = inference.loaded, inference.worker.current
    return Status(
        model=loaded.title if loaded else "",
        device=loaded.device if loaded else "",
        warning=loaded.warning if loaded else None,
        busy=job.text if job else None,
        progress=job.fraction if job else None,
        canCancel=job is not None and not job.token.cancelled,
        lastClickMilliseconds=milliseconds,
    )
