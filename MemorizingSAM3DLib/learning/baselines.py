"""The classic tools that a model is compared with: what they have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..engine.errors import EngineError
from ..engine.geometry import Volume
from ..engine.prompts import Click


class BaselineError(EngineError):
    """A classic tool cannot be used here."""


class Baseline(Protocol):
    """A tool that makes a mask out of clicks. It has no state: the mask follows from the scan and the clicks alone.

    Implementations can be pickled, since worker processes get their own copy.

    Attributes:
        name: for files. title: for people. parameters: what it was set to, JSON-ready.
    """

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Any]: ...

    def require(self) -> None:
        """Asks for what it needs before anything is computed.

        Raises:
            BaselineError: a package is missing.
        """

    def segment(self, volume: Volume, clicks: Sequence[Click]) -> np.ndarray:
        """The mask, (K, J, I) bool on the scan's grid, that all clicks so far lead to."""


def classic_baselines() -> tuple[Baseline, ...]:
    """The ones that need neither slicer nor vtk. Grow from seeds is in :mod:`MemorizingSAM3DLib.scene`."""
    from .confidence_connected import ConfidenceConnected
    from .random_walker import RandomWalker

    return (RandomWalker(), ConfidenceConnected())
