"""How much memory a process holds, and has held."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_of_process() -> int | None:
    """The most resident memory that this process has had since :func:`forget_peak`, bytes; None if it is not known."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux its figure outlives exec, so that a child begins with the peak of its parent.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def forget_peak() -> None:
    """Sets the peak back to what is resident now, where the operating system can (Linux)."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
