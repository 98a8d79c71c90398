"""The interface to the world: what is there, and who installs. The logic knows nothing else of either."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class InstallError(Exception):
    """Installing or removing did not work. Its text is what pip, Python or the PyTorch extension said."""


class Machine(Protocol):
    """The Python that the packages go into, and the computer around it. Nothing here changes anything."""

    @property
    def python(self) -> tuple[int, int]:
        """Major and minor version."""
        ...

    @property
    def system(self) -> str:
        """Windows, Darwin or Linux."""
        ...

    @property
    def architecture(self) -> str:
        """x86_64 or arm64, by these names on every system."""
        ...

    @property
    def folder(self) -> Path:
        """Where packages are installed."""
        ...

    def version(self, package: str) -> str | None:
        """The installed version by its metadata; None if it is not installed or does not say."""
        ...

    def damage(self, package: str) -> str | None:
        """Why the package is only half there, or None: it is whole, or not there at all."""
        ...

    def is_there(self, module: str) -> bool:
        """Whether there is something to import by this name. Imports nothing."""
        ...

    def is_loaded(self, module: str) -> bool:
        """Whether this process has imported it."""
        ...

    def import_problem(self, module: str) -> str | None:
        """Why the module cannot be imported, or None. Tried in another process; takes seconds."""
        ...

    def free_bytes(self) -> int:
        """Room on the disk of `folder`."""
        ...

    def is_online(self) -> bool:
        """Whether the package index answers. May take seconds."""
        ...

    def can_write(self) -> bool:
        """Whether this user may write into `folder`."""
        ...

    def allows_long_paths(self) -> bool:
        """False on a Windows where paths end at 259 characters."""
        ...

    def has_nvidia_driver(self) -> bool:
        """Whether a driver for NVIDIA GPUs is installed."""
        ...


class Installer(Protocol):
    """Who changes something. Every method blocks until it is done, and is for the main thread."""

    @property
    def has_torch_extension(self) -> bool:
        """Whether the PyTorch extension, which alone knows the right PyTorch, is installed."""
        ...

    def install(self, requirements: Sequence[str], folder: Path | None) -> None:
        """Installs packages from the index, or from a folder of wheels without touching the network.

        Raises:
            InstallError: it did not work.
        """
        ...

    def install_torch(self, minimum: str, cpu_only: bool) -> bool:
        """Installs PyTorch through the PyTorch extension.

        Returns:
            False if the user declined.

        Raises:
            InstallError: it did not work.
        """
        ...

    def remove(self, packages: Sequence[str]) -> None:
        """Removes packages, as far as they are there.

        Raises:
            InstallError: it did not work.
        """
        ...
