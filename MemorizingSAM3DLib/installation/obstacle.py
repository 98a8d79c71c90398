"""What stands in the way, and what the user can do about it."""

from __future__ import annotations

from typing import NamedTuple


class Obstacle(NamedTuple):
    """problem: what is wrong, one sentence. remedy: what the user can do, one or two sentences."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"


def no_room(needed: float, free: float, folder: object) -> Obstacle:
    """The disk is too full. needed, free: MB."""
    return Obstacle(
        f"The disk of {folder} has {size_text(free)} left; {size_text(needed)} are needed.",
        "Make room there, or choose PyTorch without GPU support, which is smaller.",
    )


def no_network() -> Obstacle:
    """The package index does not answer."""
    return Obstacle(
        "The package index (pypi.org, or the one that pip is set up for) cannot be reached.",
        "Check the network and its proxy, or install from a folder of wheels (docs/offline.md says how to make one).",
    )


def path_too_long(folder: object) -> Obstacle:
    """Windows refuses paths of 260 characters and more, and PyTorch has long ones."""
    return Obstacle(
        f"Paths below {folder} get longer than Windows allows (259 characters).",
        "Install Slicer in a folder with a short path such as C:\\Slicer, or let an administrator enable long paths "
        "(registry: LongPathsEnabled = 1).",
    )


def no_torch_extension() -> Obstacle:
    """PyTorch comes through another extension."""
    return Obstacle(
        "The PyTorch extension is not installed; it finds the PyTorch that fits this computer.",
        "Open the Extensions Manager (menu View), search for PyTorch, press Install, restart Slicer, and come back.",
    )


def size_text(megabytes: float) -> str:
    """A size as people say it, in two digits."""
    if megabytes >= 1000:
        return f"{megabytes / 1000:.1f} GB"
    return f"{megabytes:.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"
