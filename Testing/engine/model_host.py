"""The known models with small networks in place of the large ones, on a host of this computer."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import torch

from MemorizingSAM3DLib.engine.models import checkpoints, download, registry, store
from MemorizingSAM3DLib.engine.models.registry import ModelEntry, Registry, known_models
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from Testing.engine.file_server import FileServer
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_SAM_MED3D, small_state

TURBO, UNVERIFIED, SHIPPED = "sam-med3d-turbo", "fastsam3d", "native-v4"


@dataclass(frozen=True)
class ModelHost:
    """The models that are to be had, by name.

    Attributes:
        server: the host. folder: for downloaded models; it does not exist yet.
        contents: of the files, by the models' names.
    """

    server: FileServer
    folder: Path
    contents: Mapping[str, bytes]

    def entry(self, name: str) -> ModelEntry:
        """A known model, at this host."""
        return registry.known_models().find(name)

    def file(self, name: str) -> Path:
        """Where the model is once it is downloaded."""
        return self.folder / self.entry(name).file

    def serve(self, name: str, content: bytes) -> None:
        """The host sends something else under the model's name."""
        self.server.files[self.entry(name).file] = content

    def put(self, name: str) -> Path:
        """Puts the model's file into the folder, as a user without internet does."""
        self.folder.mkdir(exist_ok=True)
        self.file(name).write_bytes(self.contents[name])
        return self.file(name)


@pytest.fixture
def a_host(a_server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelHost:
    """A host with a small SAM-Med3D (its SHA-256 is known) and a small FastSAM3D (it is not)."""
    contents = {TURBO: published(SMALL_SAM_MED3D), UNVERIFIED: published(SMALL_FASTSAM3D)}
    entries = []
    for entry in known_models():
        if (content := contents.get(entry.name)) is not None:
            a_server.files[entry.file] = content
            sha256 = hashlib.sha256(content).hexdigest() if entry.sha256 else None
            entry = replace(entry, url=a_server.url_of(entry.file), size=len(content), sha256=sha256)
        entries.append(entry)
    models = Registry(tuple(entries))
    for module in (registry, download, checkpoints, store):
        monkeypatch.setattr(module, "known_models", lambda: models)
    return ModelHost(a_server, tmp_path / "models", contents)


@cache
def published(config: NetworkConfig) -> bytes:
    """A file as the authors publish it."""
    file = io.BytesIO()
    torch.save({"model_state_dict": small_state(config)}, file)
    return file.getvalue()
