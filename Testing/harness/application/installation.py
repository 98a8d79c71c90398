"""Puts the stand-ins into `slicer`, `sys.modules` and `slicer.util`, and takes them away again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

_ABSENT = object()


class Installation:
    """Remembers what was there before."""

    def __init__(self) -> None:
        self._attributes: list[tuple[Any, str, Any]] = []
        self._modules: list[tuple[str, Any]] = []
        self._path = list(sys.path)

    def setAttributes(self, target: Any, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            self._attributes.append((target, name, vars(target).get(name, _ABSENT)))
            setattr(target, name, value)

    def setModule(self, name: str, module: Any) -> None:
        """In `sys.modules`, and as attribute of its package."""
        self._modules.append((name, sys.modules.get(name, _ABSENT)))
        sys.modules[name] = module
        package, _, attribute = name.rpartition(".")
        if package:
            self.setAttributes(sys.modules[package], {attribute: module})

    def undo(self) -> None:
        """All as it was before."""
        for target, name, value in reversed(self._attributes):
            if value is _ABSENT:
                if name in vars(target):
                    delattr(target, name)
            else:
                setattr(target, name, value)
        for name, module in reversed(self._modules):
            if module is _ABSENT:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
        sys.path[:] = self._path
        self._attributes.clear()
        self._modules.clear()


class ModuleNamespace(SimpleNamespace):
    """`slicer.modules`: what is missing is named as Slicer names it."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"module 'modules' has no attribute '{name}'")
