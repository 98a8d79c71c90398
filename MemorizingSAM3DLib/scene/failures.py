"""What the user is told when something went wrong."""

from __future__ import annotations

import logging

from MemorizingSAM3DLib.engine.errors import EngineError

# What PyTorch says: of a GPU, of the CPU's memory on Linux and macOS, and on Windows.
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
_REPORT = "Please report it, with the error log (menu Help, Report a Bug)."


def messageOf(error: BaseException) -> str:
    """Problem and remedy in plain words; what we did not foresee goes to the log with its traceback as well."""
    if isinstance(error, EngineError):
        return str(error)
    logging.error("MemorizingSAM3D", exc_info=error)
    words = str(error).strip()
    if isinstance(error, MemoryError) or any(phrase in words.lower() for phrase in _OUT_OF_MEMORY):
        return (
            "There is not enough memory for this. Close other scans or programs, or choose the CPU in the settings. "
            "The segment is as it was before."
        )
    return f"That did not work: {words or type(error).__name__}. The segment is as it was before. {_REPORT}"
