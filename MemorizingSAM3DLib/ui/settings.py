"""The user's settings: Slicer's QSettings below "MemorizingSAM3D/".

A text that outlives a restart, in Slicer's settings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import slicer

from MemorizingSAM3DLib.engine.files import resource_path
from MemorizingSAM3DLib.scene.compute.model_choice import ModelChoice
from MemorizingSAM3DLib.scene.signals import Signal

PREFIX = "MemorizingSAM3D/"
MODEL = f"{PREFIX}Model"
MODEL_FILE = f"{PREFIX}ModelFile"
DEVICE = f"{PREFIX}Device"
PRECISION = f"{PREFIX}Precision"
THREADS = f"{PREFIX}Threads"
CACHE_FOLDER = f"{PREFIX}CacheFolder"
MEMORY_FOLDER = f"{PREFIX}MemoryFolder"
A_FILE = "file"
"""The value of MODEL when the model is the file of MODEL_FILE."""
modelChosen = Signal()
"""Emitted when the model was chosen elsewhere than on the settings page, which writes its own values."""


class NamedModel(NamedTuple):
    """A model of the registry."""

    name: str
    title: str
    shipped: bool


def namedModels() -> list[NamedModel]:
    """The models of the registry, in its order.

    Read as plain JSON: `engine.registry` checks the file, and needs packages for that which Slicer has only after the
    user agreed to their installation. The settings page is there before.
    """
    document = json.loads(resource_path("Models", "registry.json").read_text(encoding="utf-8"))
    return [NamedModel(model["name"], model["title"], model["url"] is None) for model in document["models"]]


def ownModelFile() -> str:
    """The file of the user's own that is offered as a model, "" for none."""
    return slicer.util.settingsValue(MODEL_FILE, "", converter=str)


def chooseModel(model: str) -> None:
    """Sets the model: a registered name, or "" for the one that is shipped."""
    _set({MODEL: model})


def chooseModelFile(path: str) -> None:
    """Sets a file of the user's own as the model."""
    _set({MODEL_FILE: path, MODEL: A_FILE})


def forgetModelFile() -> None:
    """Offers the user's own file no more; if it was the model, the one that is shipped takes its place."""
    isChosen = slicer.util.settingsValue(MODEL, "", converter=str) == A_FILE
    _set({MODEL_FILE: "", **({MODEL: ""} if isChosen else {})})


def memoryFolder() -> str:
    """The folder of the case memory: the one that is set, or one beside Slicer's settings. It need not be there."""
    chosen = slicer.util.settingsValue(MEMORY_FOLDER, "", converter=str)
    return chosen or str(Path(slicer.app.slicerUserSettingsFilePath).parent / "MemorizingSAM3D" / "CaseMemory")


def chooseMemoryFolder(folder: str) -> None:
    """Sets the folder of the case memory."""
    slicer.app.userSettings().setValue(MEMORY_FOLDER, folder)


def _set(values: dict[str, str]) -> None:
    store = slicer.app.userSettings()
    for key, value in values.items():
        store.setValue(key, value)
    modelChosen.emit()


def chosenModel() -> ModelChoice:
    """What the user has set, or the defaults."""
    model = slicer.util.settingsValue(MODEL, "", converter=str)
    if model == A_FILE:
        model = ownModelFile()
    return ModelChoice(
        model=model,
        device=slicer.util.settingsValue(DEVICE, "auto", converter=str),
        precision=slicer.util.settingsValue(PRECISION, "auto", converter=str),
        threads=slicer.util.settingsValue(THREADS, 0, converter=int),
        cacheFolder=slicer.util.settingsValue(CACHE_FOLDER, "", converter=str),
    )


_KEY = f"{PREFIX}PendingInstallation"


class SettingsStore:
    """An `installation.pending.Store`."""

    def read(self) -> str:
        return slicer.util.settingsValue(_KEY, "", converter=str)

    def write(self, text: str) -> None:
        settings = slicer.app.userSettings()
        if text:
            settings.setValue(_KEY, text)
        else:
            settings.remove(_KEY)
        settings.sync()  # a restart may follow at once
