"""pytest fixtures. In a conftest.py: `from Testing.harness.pythonqt.fixtures import *  # noqa: F403`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

__all__ = ["a_pythonqt", "a_qt_application", "no_error_in_slots"]


@pytest.fixture(scope="session")
def a_qt_application() -> Any:
    """The QApplication of PySide6, off screen. Skips without PySide6."""
    from Testing.harness.pythonqt.application import application

    return application()


@pytest.fixture
def no_error_in_slots(a_qt_application: Any) -> Iterator[None]:
    """Fails the test when a slot or an observer raised, or something failed that PythonQt would not tell."""
    from Testing.harness.pythonqt.errors import takeRecordedErrors

    takeRecordedErrors()
    yield
    errors = takeRecordedErrors()
    if errors:
        pytest.fail("\n".join(f"{error.where}: {error.text}" for error in errors), pytrace=False)


@pytest.fixture
def a_pythonqt(a_qt_application: Any, no_error_in_slots: None) -> Iterator[Any]:
    """The module `qt`; `ctk` and Slicer's widgets are there too. At the end windows are deleted, all is taken away."""
    from Testing.harness.pythonqt import install, modules, uninstall
    from Testing.harness.pythonqt.closing import deleteWindows, topLevelWidgets

    had_been_there, windows = "qt" in sys.modules, topLevelWidgets()
    install()
    modules.modules["qt"].QSettings().clear()
    yield modules.modules["qt"]
    deleteWindows(kept=windows)
    if not had_been_there:
        uninstall()
