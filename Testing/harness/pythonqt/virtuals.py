"""Python overrides of virtual methods: `def eventFilter(self, watched, event)` in a subclass of `qt.QObject`."""

from __future__ import annotations

import functools
import types
import weakref
from functools import cache
from typing import Any

from Testing.harness.pythonqt import errors
from Testing.harness.pythonqt.wrapping import unwrap, wrap


@cache
def nativeSubclass(proxyClass: type, implementation: type) -> type:
    """A PySide6 class whose virtuals call the overrides of this Python class; `implementation` if it has none."""
    facts = proxyClass._facts  # type: ignore[attr-defined]
    overridden = {
        name
        for base in proxyClass.__mro__
        if "_facts" not in vars(base)  # the proxy classes themselves
        for name, value in vars(base).items()
        if isinstance(value, types.FunctionType) and name in facts.methods and hasattr(implementation, name)
    }
    if not overridden:
        return implementation
    namespace: dict[str, Any] = {name: _override(name, implementation) for name in overridden}
    namespace["_bindProxy"] = _bindProxy
    namespace["_proxy"] = None
    return type(implementation)(implementation.__name__, (implementation,), namespace)


def _bindProxy(self: Any, proxy: Any) -> None:
    # Weak: the proxy holds the C++ object, not the other way round (rule 10).
    self._proxy = weakref.ref(proxy)


def _override(name: str, implementation: type) -> Any:
    base = getattr(implementation, name)

    @functools.wraps(base, assigned=("__name__", "__doc__"), updated=())
    def call(self: Any, *arguments: Any) -> Any:
        proxy = self._proxy() if self._proxy is not None else None
        if proxy is None:
            return base(self, *arguments)
        try:
            return unwrap(getattr(proxy, name)(*(wrap(argument) for argument in arguments)))
        except Exception as error:  # PythonQt prints it and goes on with a default value
            errors.record(f"{type(proxy).__name__}.{name}", error)
            return base(self, *arguments)

    return call
