"""One interactive session: prompts, replays, crops, refinement, and the predictor that runs the network.

Others use of it:

- ``crop_policy``: first_grid, grid_around
- ``locality``: accepted_region, hold_clicks
- ``locate_structure``: Proposal, Proposer
- ``predictor``: Predictor
- ``prefetch``: pays, prefetch_crops
- ``remember_case``: attention_to, case_layout, open_case_retrieval, open_or_create_case_retrieval, remember
- ``replay``: Replay
- ``session``: InteractiveSession
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .predictor import Predictor
    from .session import InteractiveSession

__all__ = ["InteractiveSession", "Predictor"]


def __getattr__(name: str) -> Any:
    # When it is asked for: the rooms beside this one import parts of it, and PyTorch takes a second.
    if name == "InteractiveSession":
        from .session import InteractiveSession

        return InteractiveSession
    if name == "Predictor":
        from .predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
