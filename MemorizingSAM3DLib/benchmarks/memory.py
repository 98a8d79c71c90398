"""How much memory one encode adds to a process, measured in a process of its own.

``python -m MemorizingSAM3DLib.benchmarks.memory ours|literal THREADS`` prints it, in bytes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

Way = Literal["ours", "literal"]


def added_by_teacher_encode(way: Way, threads: int) -> int | None:
    """Peak resident memory during the first encode of a fresh process, minus what it held before, weights loaded.

    Args:
        way: ``ours``, or ``literal`` for the padded published arithmetic.

    Returns:
        Bytes, or None where the operating system does not tell (Windows).
    """
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", __name__, way, str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    answer = done.stdout.split()[-1]
    return None if answer == "unknown" else int(answer)


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


def _measure(way: Way, threads: int) -> int | None:
    import torch

    from .encoding import teacher_encodes
    from .made_networks import a_published_network, an_image

    torch.set_num_threads(threads)
    network, image = a_published_network("sam_med3d"), an_image()
    encode = teacher_encodes(network, image)[way]
    forget_peak()
    before = peak_of_process()
    encode()
    after = peak_of_process()
    return None if before is None or after is None else after - before


if __name__ == "__main__":
    added = _measure("literal" if sys.argv[1] == "literal" else "ours", int(sys.argv[2]))
    print("unknown" if added is None else added)
