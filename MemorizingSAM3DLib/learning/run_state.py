"""``state.pt``: everything that a training needs to go on, written whole or not at all."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ..engine.errors import OutputError
from ..engine.networks.config import NetworkConfig
from ..engine.networks.sam3d import SAM3D, build_network
from .distributed import TrainingError
from .remembering import RememberingConfig, RememberingSAM3D

STATE = "state.pt"
_NEEDED = ("network", "average", "optimizer", "step", "seconds", "config")


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Writes a state into a run's folder; whatever happens, the file is either the previous state or the whole new one.

    Raises:
        OutputError: it cannot be written (a full disk, say); the previous state is still there.
    """
    path, partial = folder / STATE, folder / f"{STATE}.part"
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError on a full disk
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        kept = "; the previous state is still there" if path.exists() else ""
        raise OutputError(
            f"The training's state {path} cannot be written ({getattr(error, 'strerror', None) or error}){kept}.",
            "Make room on the disk, or check the permissions; the same command goes on from what was saved.",
        ) from error


def read_state(folder: Path, config: NetworkConfig | RememberingConfig | None = None) -> dict[str, Any]:
    """The state in a run's folder, its tensors on the CPU.

    Args:
        config: of the network that is to go on; None takes any.

    Raises:
        TrainingError: damaged, not a state, or of another network.
    """
    path = folder / STATE
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes PyTorch's restricted unpickler fail in any way there is
        raise TrainingError(
            f"The training's state {path} cannot be read ({error}).", "Remove it to begin anew, or restore a copy."
        ) from error
    if not isinstance(state, dict) or any(name not in state for name in _NEEDED):
        raise TrainingError(f"{path} is no state of a training.", "Choose another --out, or remove the file.")
    if config is not None and json.loads(state["config"]) != json.loads(json.dumps(config.to_dict())):
        raise TrainingError(
            f"The training in {folder} is of another network.", "Give the options it was begun with, or another --out."
        )
    return state


def averaged_network(state: Path) -> tuple[SAM3D, int, float]:
    """The moving average in a ``state.pt``, in evaluation mode: network, steps, seconds of computing.

    Raises:
        TrainingError: see :func:`read_state`.
    """
    content = read_state(state.parent)
    network = build_network(NetworkConfig.from_dict(json.loads(content["config"])))
    network.load_state_dict(content["average"])
    return network.eval(), content["step"], content["seconds"]


def averaged_remembering(state: Path) -> RememberingSAM3D:
    """The moving average in the ``state.pt`` of an interaction memory's training, in evaluation mode.

    Raises:
        TrainingError: see :func:`read_state`.
    """
    content = read_state(state.parent)
    network = RememberingSAM3D.of_config(RememberingConfig.from_dict(json.loads(content["config"])))
    network.load_state_dict(content["average"])
    return network.eval()
