"""What a user is told of each package: why it is needed and how large it is.

Sizes are those of the wheels for Python 3.12 of November 2026, with what they bring along, in MB; on the disk they are
about three times as large. PyTorch's differ by system and by GPU support.
"""

from __future__ import annotations

from typing import NamedTuple

from .machine import Machine

INDEX = "pypi.org"
TORCH_SOURCE = "download.pytorch.org"
_UNPACKED = 3.0


class PackageFacts(NamedTuple):
    """why: one short sentence. megabytes: of the download."""

    why: str
    megabytes: float


_FACTS = {
    "safetensors": PackageFacts("Reads models without running code from them.", 0.5),
    "jsonschema": PackageFacts("Checks the lists of models and results.", 0.5),
    "nibabel": PackageFacts("Reads and writes NIfTI files.", 3.5),
    "pooch": PackageFacts("Downloads models and verifies them.", 0.3),
    "rich": PackageFacts("Progress and tables of the command line.", 1.7),
    "typer": PackageFacts("The command line.", 3.0),
    "numpy": PackageFacts("Arrays.", 15.0),
    "scipy": PackageFacts("Distances and filters.", 40.0),
    "SimpleITK": PackageFacts("Reads and resamples scans.", 50.0),
    "requests": PackageFacts("Downloads models.", 0.7),
    "flash-attn": PackageFacts("Optional: faster attention on NVIDIA GPUs.", 250.0),
    "faiss-gpu": PackageFacts("Optional: faster search in very large case memories.", 200.0),
}
_WHY_TORCH = "Computes the networks."


def facts_of(package: str, machine: Machine, cpu_only: bool = False) -> PackageFacts:
    """What is known of a package."""
    if package == "torch":
        return PackageFacts(_WHY_TORCH, _torch_megabytes(machine, cpu_only))
    return _FACTS[package]


def unpacked(megabytes: float) -> float:
    """What a download takes on the disk at most, itself included while it is unpacked."""
    return (_UNPACKED + 1) * megabytes


def _torch_megabytes(machine: Machine, cpu_only: bool) -> float:
    if machine.system == "Darwin":
        return 90.0
    if cpu_only or not machine.has_nvidia_driver():
        return 200.0
    return 2500.0
