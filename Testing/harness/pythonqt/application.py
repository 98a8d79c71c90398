"""The one QApplication of the tests: off screen, looking the same on every machine."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtWidgets

_kept: list[object] = []


def _keepSingletonsAlive() -> None:
    """Python < 3.12 aborts when the last reference to True or None goes, and PySide6 6.12 gives away too many.

    Its `emit` returns True without a reference of its own; others are lost while Python shuts down.
    """
    if sys.version_info < (3, 12):
        for singleton in (True, False, None):
            ctypes.c_ssize_t.from_address(id(singleton)).value += 1 << 40


_keepSingletonsAlive()


def application() -> QtWidgets.QApplication:
    """Made on the first call. Its QSettings are a file in a temporary folder, never those of the user."""
    existing = QtWidgets.QApplication.instance()
    if isinstance(existing, QtWidgets.QApplication):
        return existing
    folder = tempfile.TemporaryDirectory(prefix="pythonqt-settings-", ignore_cleanup_errors=True)
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    for scope in (QtCore.QSettings.Scope.UserScope, QtCore.QSettings.Scope.SystemScope):
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, scope, folder.name)
    made = QtWidgets.QApplication(["Slicer", "-platform", "offscreen"])
    made.setOrganizationName("NA-MIC")
    made.setOrganizationDomain("slicer.org")
    made.setApplicationName("Slicer")
    made.setStyle("Fusion")
    made.setQuitOnLastWindowClosed(False)
    _useShippedFont(made)
    _kept.extend([folder, made])
    return made


def _useShippedFont(made: QtWidgets.QApplication) -> None:
    """matplotlib ships DejaVu Sans; widths in screenshots then do not depend on the machine."""
    try:
        import matplotlib
    except ImportError:
        return
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    number = QtGui.QFontDatabase.addApplicationFont(str(file))
    families = QtGui.QFontDatabase.applicationFontFamilies(number) if number >= 0 else []
    if families:
        made.setFont(QtGui.QFont(families[0], 9))
