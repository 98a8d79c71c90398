"""What the user chose in the dialog."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Choice:
    """
    Args:
        folder: of wheels, for a computer without internet; None for the internet.
        cpu_only: PyTorch without GPU support, which is much smaller.
        extras: optional packages.
        repair: packages to install anew although they look whole.
    """

    folder: Path | None = None
    cpu_only: bool = False
    extras: tuple[str, ...] = ()
    repair: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "folder": None if self.folder is None else str(self.folder)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Choice:
        """From what `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        folder = values["folder"]
        return cls(
            folder=None if folder is None else Path(folder),
            cpu_only=bool(values["cpu_only"]),
            extras=tuple(str(name) for name in values["extras"]),
            repair=tuple(str(name) for name in values["repair"]),
        )
