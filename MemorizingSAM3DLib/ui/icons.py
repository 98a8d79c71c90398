"""The icons in Resources/Icons. Shapes differ as well as colours, so that no colour has to be told from another."""

from __future__ import annotations

from typing import Any

import qt

from MemorizingSAM3DLib.engine.resources import resource_path


def icon(name: str) -> Any:
    """A QIcon; Qt itself finds `name@2x.png` beside it for screens of high resolution."""
    return qt.QIcon(str(resource_path("Icons", f"{name}.png")))
