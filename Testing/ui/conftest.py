"""The panel in an application, with a controller whose every answer the test knows."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from Testing.engine.file_server import a_server
from Testing.engine.model_host import a_host
from Testing.harness.application.fixtures import installed_application, slicer_application
from Testing.harness.pythonqt.fixtures import a_qt_application, no_error_in_slots
from Testing.ui.a_fake_controller import FakeController

__all__ = ["a_host", "a_qt_application", "a_server", "installed_application", "no_error_in_slots", "slicer_application"]

MODULE_FILE = Path(__file__).resolve().parents[2] / "MemorizingSAM3D" / "MemorizingSAM3D.py"


@pytest.fixture
def controller(slicer_application: Any, monkeypatch: pytest.MonkeyPatch) -> FakeController:
    """What every logic of the module gets instead of the one with a network."""
    fake = FakeController()
    real = importlib.import_module("MemorizingSAM3DLib.scene.click_controller")
    monkeypatch.setattr(real, "ClickController", lambda choice=None: fake)
    return fake


@pytest.fixture
def a_module(slicer_application: Any, controller: FakeController, no_error_in_slots: None) -> Any:
    """The module, open in a dock of 350 pixels, without a scan."""
    return slicer_application.openModule(MODULE_FILE, width=350, height=1000)


@pytest.fixture
def ui(a_module: Any) -> Any:
    """The widgets of the panel by their names."""
    return a_module.widget.ui


@pytest.fixture
def a_chosen_scan(ui: Any, a_volume_node: Any) -> Any:
    """A scan that is chosen in the panel."""
    ui.scanSelector.setCurrentNode(a_volume_node)
    return a_volume_node
