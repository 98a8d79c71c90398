from __future__ import annotations

import json

from MemorizingSAM3DLib.engine.files import resource_path
from MemorizingSAM3DLib.engine.models.registry import known_models
from MemorizingSAM3DLib.scene.compute.model_choice import ModelChoice


def test_without_settings_the_choice_is_the_default_one(slicer_application):
    from MemorizingSAM3DLib.ui.settings import chosenModel

    assert chosenModel() == ModelChoice()


def test_what_is_set_is_chosen(slicer_application):
    from MemorizingSAM3DLib.ui import settings

    for key, value in ((settings.MODEL, "fastsam3d"), (settings.DEVICE, "cpu"), (settings.PRECISION, "float32"),
                       (settings.THREADS, "3"), (settings.CACHE_FOLDER, "/models")):  # fmt: skip
        slicer_application.settings.setValue(key, value)

    assert settings.chosenModel() == ModelChoice("fastsam3d", "cpu", "float32", 3, "/models")


def test_a_file_is_chosen_by_its_path(slicer_application):
    from MemorizingSAM3DLib.ui import settings

    slicer_application.settings.setValue(settings.MODEL, settings.A_FILE)
    slicer_application.settings.setValue(settings.MODEL_FILE, "/models/mine.safetensors")

    assert settings.chosenModel().model == "/models/mine.safetensors"


def test_the_file_of_a_model_that_is_not_chosen_does_not_matter(slicer_application):
    from MemorizingSAM3DLib.ui import settings

    slicer_application.settings.setValue(settings.MODEL_FILE, "/models/mine.safetensors")

    assert settings.chosenModel() == ModelChoice()


def test_the_models_are_those_of_the_checked_registry(slicer_application):
    from MemorizingSAM3DLib.ui.settings import namedModels

    assert [tuple(model) for model in namedModels()] == [(m.name, m.title, m.shipped) for m in known_models()]
    assert len(json.loads(resource_path("Models", "registry.json").read_text())["models"]) == len(namedModels())


def test_a_text_is_kept_and_forgotten(slicer_application):
    from MemorizingSAM3DLib.ui.settings import SettingsStore

    store = SettingsStore()
    assert store.read() == ""

    store.write('{"choice": 1}')
    assert SettingsStore().read() == '{"choice": 1}'
    store.write("")
    assert store.read() == ""
    assert not slicer_application.settings.contains("MemorizingSAM3D/PendingInstallation")
