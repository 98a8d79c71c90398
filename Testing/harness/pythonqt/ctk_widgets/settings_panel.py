"""`ctkSettingsPanel`: binds properties of widgets to keys of QSettings, writing at once."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

from PySide6 import QtCore, QtWidgets

from Testing.harness.pythonqt import properties
from Testing.harness.pythonqt.facts import ClassFacts, classFacts
from Testing.harness.pythonqt.implementations import implements, nameBehind
from Testing.harness.pythonqt.overloads import plain
from Testing.harness.pythonqt.wrapping import unwrap


@dataclass
class _Bound:
    widget: QtCore.QObject
    name: str
    settings: QtCore.QSettings | None
    default: Any
    previous: Any
    label: str
    options: int


def _facts(widget: QtCore.QObject) -> ClassFacts:
    return classFacts(nameBehind(type(widget)) or "QObject")


def _onChanged(panel: ctkSettingsPanel | None, key: str) -> None:
    if panel is not None:
        panel.readBack(key)


@implements
class ctkSettingsPanel(QtWidgets.QWidget):
    """A registered property is set from the settings if they have the key; else its value is the default."""

    settingChanged = QtCore.Signal(str, object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._bound: dict[str, _Bound] = {}
        self._settings: QtCore.QSettings | None = None

    def _setSettings(self, settings: QtCore.QSettings | None) -> None:
        self._settings = settings
        self.reloadSettings()

    settings = QtCore.Property(QtCore.QObject, lambda self: self._settings, _setSettings)

    def registerProperty(
        self,
        key: str,
        widget: QtCore.QObject,
        name: str,
        signal: str,
        label: str = "",
        options: int = 0,
        settings: QtCore.QSettings | None = None,
    ) -> None:
        """`signal` is the SIGNAL(...) of the widget that says that the property has changed.

        Raises SilentFailure when the widget has no such property or signal.
        """
        from Testing.harness.pythonqt import errors, signals
        from Testing.harness.pythonqt.wrapping import wrap

        if name not in _facts(widget).properties:
            raise errors.silentFailure(f"registerProperty: {_facts(widget).name} has no property {name!r}.")
        value = self._read(widget, name)
        self._bound[key] = _Bound(widget, name, settings, value, value, label, options)
        stored = self._store(key).value(key) if self._store(key).contains(key) else None
        if stored is not None:
            self._write(key, stored)
            self._bound[key].previous = self._read(widget, name)
        weak = weakref.ref(self)
        signals.connect(wrap(widget), signal, lambda: _onChanged(weak(), key))

    def _store(self, key: str) -> QtCore.QSettings:
        return self._bound[key].settings or self._settings or QtCore.QSettings()

    @staticmethod
    def _read(widget: QtCore.QObject, name: str) -> Any:
        return plain(unwrap(properties.read(widget, _facts(widget).properties[name])))

    def _write(self, key: str, value: Any) -> None:
        bound = self._bound[key]
        known = _facts(bound.widget).properties[bound.name]
        # An .ini file keeps text only.
        if known.type == "bool" and isinstance(value, str):
            value = value.lower() in ("true", "1")
        elif known.type in ("int", "double") and isinstance(value, str):
            value = float(value) if known.type == "double" else int(float(value))
        properties.write(bound.widget, known, value, _facts(bound.widget).name)

    def readBack(self, key: str) -> None:
        """The registered widget has changed."""
        bound = self._bound[key]
        value = self._read(bound.widget, bound.name)
        store = self._store(key)
        if store.contains(key) and str(store.value(key)) == str(value):
            return
        store.setValue(key, value)
        self.settingChanged.emit(key, value)

    def applySettings(self) -> None:
        for bound in self._bound.values():
            bound.previous = self._read(bound.widget, bound.name)

    def resetSettings(self) -> None:
        for key, bound in self._bound.items():
            self._write(key, bound.previous)

    def restoreDefaultSettings(self) -> None:
        for key, bound in self._bound.items():
            self._write(key, bound.default)

    def reloadSettings(self) -> None:
        for key in self._bound:
            store = self._store(key)
            if store.contains(key):
                self._write(key, store.value(key))
            else:
                store.setValue(key, self._read(self._bound[key].widget, self._bound[key].name))
