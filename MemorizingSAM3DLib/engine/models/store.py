"""The models of this computer: which there are, and getting, checking and removing them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, EngineError
from .download import cache_folder, cached_models, fetch, model_path, part_size, remove
from .registry import ModelEntry, known_models

if TYPE_CHECKING:
    from .checkpoints import Checkpoint

Report = Callable[[str, "float | None"], None]
"""Told what is being done and how far it is (0 to 1, None: not known). What it raises stops the work."""

_CONVERTED = (".pth", ".pt")


class ModelState(Enum):
    """What of a model is on this computer."""

    SHIPPED = "shipped"
    HERE = "here"
    PARTLY = "partly here"
    ABSENT = "not here"


@dataclass(frozen=True)
class StoredModel:
    """A known model on this computer.

    Attributes:
        path: its file, or where that will be.
        size: bytes on this disk, parts and conversions included. part: bytes of a download that broke off.
    """

    entry: ModelEntry
    state: ModelState
    path: Path
    size: int
    part: int


@dataclass(frozen=True)
class CheckedModel:
    """A model that was loaded to see whether it works.

    Attributes:
        source: what was asked for, a known model's name or a path.
        title: of the known model, else the file's name.
        parameters: numbers in the network.
    """

    source: str
    title: str
    family: str
    parameters: int


class LicenceError(EngineError):
    """The licence of a model was not accepted."""


class ModelStore:
    """The known models and the folder in which those are that were downloaded. It keeps nothing: every answer is new.

    Args:
        cache: the folder, if not the usual one (:func:`.download.cache_folder`).
    """

    def __init__(self, cache: Path | None = None) -> None:
        self.folder = cache_folder(cache)

    def models(self) -> list[StoredModel]:
        """The known models, in the registry's order."""
        sizes = {model.entry.name: model.size for model in cached_models(self.folder)}
        return [self._stored(entry, sizes.get(entry.name, 0)) for entry in known_models()]

    def download(self, name: str, accepted_licence: str, report: Report) -> Path:
        """Fetches a known model and converts it; goes on with a download that broke off.

        Args:
            accepted_licence: the licence that the user has read and accepted. With it the user also accepts a model
                whose authors publish no SHA-256, so show that as well.
            report: see :data:`Report`.

        Raises:
            LicenceError: it is not this model's licence; nothing is fetched.
            CheckpointError: as :func:`.download.fetch`, or what came cannot be used (it is removed).
            OutputError: the converted form cannot be written; the download stays.
        """
        entry = known_models().find(name)
        if accepted_licence != entry.licence:
            raise LicenceError(
                f"{entry.title} has the licence {entry.licence}, which was not accepted.",
                "Nothing was downloaded. Read the licence, and accept it if you agree.",
            )
        self._check_room(entry)

        def tell(have: int, total: int | None) -> None:
            fraction = min(have / total, 1.0) if total else None
            amount = f"{have / 1e6:.0f} of {total / 1e6:.0f} MB" if total else f"{have / 1e6:.0f} MB"
            report(f"Downloading {entry.title}: {amount}", fraction)

        tell(part_size(entry, self.folder), entry.size)
        path = fetch(entry, self.folder, tell, allow_unverified=True)
        report(f"Converting {entry.title}", None)
        try:
            self._load(name)
        except _PyTorchMissingError:
            pass  # converted when it is used first, which needs PyTorch anyway
        except CheckpointError as error:
            remove(entry, self.folder)
            raise CheckpointError(
                f"What {entry.url} sent cannot be used, and was removed. {error.problem}", error.remedy
            ) from error
        return path

    def check(self, source: str, report: Report) -> CheckedModel:
        """Loads a model to see whether it can segment; a published ``.pth`` is converted on the way.

        Args:
            source: the name of a known model that is here, or a path.

        Raises:
            CheckpointError: it cannot be used; the message says why.
            EngineError: PyTorch or another package is missing.
        """
        name = source if source in known_models() else Path(source).name
        report(f"Checking {name}", None)
        checkpoint = self._load(source)
        report(f"Checking {name}", None)  # loading cannot be stopped, but what comes of it can be given up
        parameters = sum(parameter.numel() for parameter in checkpoint.network.parameters())
        title = checkpoint.entry.title if checkpoint.entry else checkpoint.path.name
        return CheckedModel(source, title, checkpoint.config.family, parameters)

    def remove(self, name: str) -> int:
        """Removes a downloaded model with all that belongs to it. Returns the bytes freed.

        Raises:
            CheckpointError: it came with the package, is not here, or cannot be removed.
        """
        return remove(known_models().find(name), self.folder)

    def remove_conversion(self, source: Path) -> int:
        """Removes what was converted from a file of the user's own; the file itself stays. Returns the bytes freed.

        Raises:
            CheckpointError: it cannot be removed.
        """
        freed = 0
        if source.suffix.lower() not in _CONVERTED or any(_stem(entry) == source.stem for entry in known_models()):
            return freed  # nothing was converted, or a known model may use the same conversion
        for file in self.folder.glob(f"*.{'[0-9a-f]' * 16}.safetensors"):
            if file.name.startswith(f"{source.stem}.") and file.name.count(".") == source.stem.count(".") + 2:
                size = file.stat().st_size
                try:
                    file.unlink()
                except OSError as error:
                    raise CheckpointError(
                        f"{file} cannot be removed ({error.strerror}).", "Close the programs that use it."
                    ) from error
                freed += size
        return freed

    def _stored(self, entry: ModelEntry, size: int) -> StoredModel:
        part = part_size(entry, self.folder)
        if entry.shipped:
            return StoredModel(entry, ModelState.SHIPPED, model_path(entry), entry.size or 0, 0)
        path = model_path(entry, self.folder)
        state = ModelState.PARTLY if part else ModelState.ABSENT
        return StoredModel(entry, ModelState.HERE if path.is_file() else state, path, size, part)

    def _check_room(self, entry: ModelEntry) -> None:
        """Room for the converted form too, so that the disk is not full only after the download.

        That for the download itself is asked for by :func:`.download.fetch`, which learns its true size.
        """
        path = model_path(entry, self.folder)
        if entry.size is None or path.suffix.lower() not in _CONVERTED or path.is_file():
            return
        place = self.folder
        while not place.exists():
            place = place.parent
        needed = 2 * entry.size - part_size(entry, self.folder)
        free = shutil.disk_usage(place).free
        if free < needed:
            raise CheckpointError(
                f"{entry.title} needs {needed / 1e6:.0f} MB, its converted form included, but {self.folder} has "
                f"{free / 1e6:.0f} MB left.",
                "Make room, or choose another folder for models.",
            )

    def _load(self, source: str) -> Checkpoint:
        try:
            from .checkpoints import load
        except (ImportError, OSError) as error:  # OSError: Windows on a PyTorch that lacks libraries
            raise _PyTorchMissingError(
                f"Without PyTorch and safetensors no model can be opened ({error}).",
                "Press 'Install...' on top of the module's panel first, and try again.",
            ) from error
        return load(source, cache=self.folder)


class _PyTorchMissingError(EngineError):
    """The packages that open a model are not installed."""


def _stem(entry: ModelEntry) -> str:
    return Path(entry.file).stem
