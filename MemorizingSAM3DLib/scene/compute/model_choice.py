"""Which model computes, where and how: what the user set, without loading anything."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from MemorizingSAM3DLib.engine.errors import EngineError

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.session.predictor import Predictor


class MissingTorchError(EngineError):
    """PyTorch, or another package that the engine needs, is not installed in this Slicer."""


class LoadedModel(NamedTuple):
    """predictor, and what the user is told: the model's title, the device, a warning or None."""

    predictor: Predictor
    title: str
    device: str
    warning: str | None


@dataclass(frozen=True)
class ModelChoice:
    """The model and the machine.

    Args:
        model: a registered name or a checkpoint's path; "" for the model that is shipped.
        device: auto, cpu, cuda or cuda:0. precision: float32, bfloat16, or auto: bfloat16 where that is faster.
        threads: of the CPU; 0 for PyTorch's choice.
        cacheFolder: where downloaded models are; "" for the usual place.
    """

    model: str = ""
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    cacheFolder: str = ""

    @property
    def name(self) -> str:
        """The model's name for a scene file: a registered name or a file's name, never a path."""
        return Path(self.model).name if self.model else "shipped"

    def load(self) -> LoadedModel:
        """Loads the model onto its device; seconds for the first time. Call it on the worker's thread.

        Raises:
            MissingTorchError: a package is missing or damaged.
            CheckpointError: the model, or its interaction memory, cannot be used. DeviceError: the device cannot.
        """
        try:
            import torch

            from MemorizingSAM3DLib.engine.interaction_memory.conditioning import load_default_interaction_memory
            from MemorizingSAM3DLib.engine.models.checkpoints import load, load_default
            from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
            from MemorizingSAM3DLib.engine.session.predictor import Predictor
        except (ImportError, OSError) as error:  # OSError: Windows on a PyTorch that lacks libraries
            raise MissingTorchError(
                f"PyTorch or another package is missing in this Slicer ({error}).",
                "Press 'Install...' on top of the panel, or 'Repair...' on the module's page of the settings; PyTorch "
                "comes through the PyTorch extension of the Extensions Manager.",
            ) from error

        automatic = _automaticThreads()
        threads = self.threads or automatic
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)
        # Here speed counts; evaluations stay in float32, which is the same on every processor up to rounding.
        precision = cast(Literal["float32", "bfloat16"], self.precision) if self.precision != "auto" else "fastest"
        runtime = choose_runtime(self.device, precision)
        folder = Path(self.cacheFolder) if self.cacheFolder else None
        checkpoint = load(self.model, cache=folder) if self.model else load_default()
        title = checkpoint.entry.title if checkpoint.entry else checkpoint.path.name
        memory = load_default_interaction_memory(checkpoint.network)
        predictor = Predictor(checkpoint.network, runtime, interaction_memory=memory)
        return LoadedModel(predictor, title, runtime.description, runtime.warning)


@cache
def _automaticThreads() -> int:
    """PyTorch's own choice: what it had when it was asked first, before anyone changed it here."""
    import torch

    return torch.get_num_threads()
