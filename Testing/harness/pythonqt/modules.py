"""The modules `qt` and `ctk`, and the widget classes of `slicer`."""

from __future__ import annotations

import sys
import types
from typing import Any

from Testing.harness.pythonqt.classes import proxyClass
from Testing.harness.pythonqt.facts import classNames, isKnownClass


def SIGNAL(signature: str) -> str:
    return f"2{signature}"


def SLOT(signature: str) -> str:
    return f"1{signature}"


class BoolResult:
    """For C++'s `bool*` arguments; only its presence is imitated."""

    def __init__(self, value: bool = False) -> None:
        self.value = value


class _ClassModule(types.ModuleType):
    """Makes its classes when they are asked for."""

    def __init__(self, name: str, prefixes: tuple[str, ...]) -> None:
        super().__init__(name, f"PythonQt's module `{name}`, imitated for tests.")
        self._prefixes = prefixes

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not name.startswith(self._prefixes) or not isKnownClass(name):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        made = proxyClass(name)
        setattr(self, name, made)
        return made

    def __dir__(self) -> list[str]:
        return [name for name in classNames() if name.startswith(self._prefixes)]


def _makeModules() -> dict[str, types.ModuleType]:
    qt = _ClassModule("qt", ("Q",))
    for function in (SIGNAL, SLOT, BoolResult):
        setattr(qt, function.__name__, function)
    return {"qt": qt, "ctk": _ClassModule("ctk", ("ctk",))}


modules = _makeModules()


def slicerClasses() -> dict[str, type]:
    """All classes that Slicer's own Qt modules put into `slicer`."""
    return {name: proxyClass(name) for name in classNames() if not name.startswith(("Q", "ctk"))}


def install() -> None:
    """Puts `qt` and `ctk` into `sys.modules` and Slicer's widgets into `slicer` (if slicer-core is there).

    May be called again. A QApplication is made if there is none.
    """
    from Testing.harness.pythonqt.application import application

    application()
    sys.modules.update(modules)
    try:
        import slicer
    except ImportError:
        return
    for name, cls in slicerClasses().items():
        if not hasattr(slicer, name):
            setattr(slicer, name, cls)


def uninstall() -> None:
    """Takes everything away again that `install` put there."""
    for name, module in modules.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    slicer = sys.modules.get("slicer")
    for name, cls in slicerClasses().items() if slicer is not None else ():
        if vars(slicer).get(name) is cls:
            delattr(slicer, name)
