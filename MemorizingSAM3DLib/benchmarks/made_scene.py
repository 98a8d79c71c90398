"""A real scene in a contender's process, with the made-up scan in it."""

from __future__ import annotations

from typing import Any

from .contender import UnavailableError
from .made_scans import a_scan


def scan_node() -> Any:
    """The scan's volume node, in a scene that is booted if need be.

    Raises:
        UnavailableError: slicer-core is not installed.
    """
    try:
        import slicer

        from ..scene.headless import bootScene
    except ImportError as error:
        raise UnavailableError(
            "slicer-core is not installed.", "In the folder of the sources: pip install '.[scene]'"
        ) from error
    bootScene()
    return slicer.util.addVolumeFromArray(*a_scan(), "benchmark scan")
