"""Conditions that a wheel puts on a dependency, such as `sys_platform == "win32"`."""

from __future__ import annotations

from typing import Any


def applies(marker: str) -> bool:
    """Whether a dependency with this marker (PEP 508) is needed here; extras that nobody asked for are not.

    Evaluated by `packaging`, which Slicer has since 5.11, or by pip's copy of it; without either, a marker that is not
    about extras is taken to apply on this machine only if it is empty, so that nothing is asked for in vain.
    """
    if not marker:
        return True
    markers = _library()
    if markers is None:
        return False
    try:
        return bool(markers.Marker(marker).evaluate({"extra": ""}))
    except markers.InvalidMarker:
        return False


def _library() -> Any:
    try:
        from packaging import markers
    except ImportError:
        try:
            from pip._vendor.packaging import markers  # type: ignore[no-redef]
        except ImportError:
            return None
    return markers
