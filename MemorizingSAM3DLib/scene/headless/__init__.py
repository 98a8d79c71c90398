"""Without the Slicer application: a scene of its own, pictures, and the demonstration. Not part of Slicer's package.

Others use of it:

- ``application``: bootScene
- ``demonstration``: ClickedSegment, ClickReport, Demonstration, OUTPUT_FILES, writeDemoScan
- ``grow_from_seeds``: GrowFromSeeds
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .application import bootScene

__all__ = ["bootScene"]


def __getattr__(name: str) -> Any:
    if name == "bootScene":
        from .application import bootScene

        return bootScene
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
