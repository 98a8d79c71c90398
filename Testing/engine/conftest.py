"""Fixtures that several of the engine's tests share."""

from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.session import crop_policy, locality, refinement
from Testing.engine.file_server import a_server
from Testing.engine.model_host import a_host

__all__ = ["a_host", "a_server"]


@pytest.fixture
def the_scale_of_the_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phantoms are laid out for this first look, zoom and neighbourhood; the mechanics are what is tested."""
    monkeypatch.setattr(crop_policy, "FIRST_SPACING_MM", ((64, 1.5), (128, 1.5)))
    monkeypatch.setattr(crop_policy, "CROPS_PER_OBJECT", ((64, 2.4), (128, 2.4)))
    monkeypatch.setattr(crop_policy, "LATER_CROPS_PER_OBJECT", ((64, 2.4), (128, 2.4)))
    monkeypatch.setattr(locality, "NEAR_CELLS", 0.2)
    monkeypatch.setattr(refinement, "_COARSER_RATIO", np.inf)
