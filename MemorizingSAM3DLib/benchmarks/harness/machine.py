"""On what a benchmark ran, and whether it had the computer to itself."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .benchmark_case import Setting

BUSY = 0.5  # of the cores, before anything is measured


def machine_facts(setting: Setting, description: str) -> dict[str, Any]:
    """Of the report, JSON-ready.

    Args:
        description: of the device, as the runtime gives it.
    """
    from MemorizingSAM3DLib.learning.evaluation.report import versions

    load = _load()
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "device": description,
        "threads": setting.threads,
        "model": setting.model,
        "load_before": load,
        "busy": load is not None and load > BUSY * (os.cpu_count() or 1),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
    }


def processor() -> str:
    """Its name, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def available_bytes() -> int | None:
    """Memory that could be had without swapping; None where the system does not tell (it does on Linux)."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return None
    for line in info.read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) * 1024
    return None


def _load() -> float | None:
    """Processes that wanted to run in the last minute; None on Windows."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
