"""The network that a command uses, and what the user is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from ..engine.predictor import Predictor


def load_predictor(model: str | None, device: str, console: Console) -> Predictor:
    """Loads a model (registered name, file, or None for the shipped one) on a device and says which and where.

    With the interaction memory that is shipped for it, if there is one, as in the panel.
    """
    from ..engine.checkpoints import load, load_default
    from ..engine.memory.interaction_weights import load_default_interaction_memory
    from ..engine.predictor import Predictor
    from ..engine.runtime import choose_runtime

    runtime = choose_runtime(device)
    checkpoint = load(model) if model else load_default()
    name = checkpoint.entry.title if checkpoint.entry else checkpoint.path.name
    console.print(
        f"Model: {name} ({checkpoint.config.family}). Device: {runtime.description}.", highlight=False, markup=False
    )
    if runtime.warning:
        console.print(runtime.warning, style="yellow", highlight=False, markup=False)
    memory = load_default_interaction_memory(checkpoint.network)
    return Predictor(checkpoint.network, runtime, interaction_memory=memory)
