"""The user's settings: Slicer's QSettings below "MemorizingSAM3D/"."""

from __future__ import annotations

import json
from typing import NamedTuple

import slicer

from MemorizingSAM3DLib.engine.resources import resource_path
from MemorizingSAM3DLib.scene.model_choice import ModelChoice

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


def chosenModel() -> ModelChoice:
    """What the user has set, or the defaults."""
    model = slicer.util.settingsValue(MODEL, "", converter=str)
    if model == A_FILE:
        model = slicer.util.settingsValue(MODEL_FILE, "", converter=str)
    return ModelChoice(
        model=model,
        device=slicer.util.settingsValue(DEVICE, "auto", converter=str),
        precision=slicer.util.settingsValue(PRECISION, "auto", converter=str),
        threads=slicer.util.settingsValue(THREADS, 0, converter=int),
        cacheFolder=slicer.util.settingsValue(CACHE_FOLDER, "", converter=str),
    )
