"""The proxy classes: one Python class for each C++ class, without inheritance between them (rule 7)."""

from __future__ import annotations

from functools import cache
from typing import Any

import shiboken6
from PySide6 import QtCore

from Testing.harness.pythonqt import properties, signals, special, wrapping
from Testing.harness.pythonqt.enums import enumValue, enumWrapper
from Testing.harness.pythonqt.facts import ClassFacts, classFacts, isKnownClass
from Testing.harness.pythonqt.implementations import implementationOf
from Testing.harness.pythonqt.overloads import NoOverload, callNative
from Testing.harness.pythonqt.slots import SlotFunction
from Testing.harness.pythonqt.virtuals import nativeSubclass
from Testing.harness.pythonqt.wrapping import remember, unwrap, wrap


class PythonQtClassWrapper(type):
    """The metaclass; the name is PythonQt's, `slicer.util.importQtClassesFromDirectory` asks for it."""

    _facts: ClassFacts

    def __getattr__(cls, name: str) -> Any:
        facts = cls._facts
        if facts is None or name.startswith("__"):
            raise AttributeError(name)
        static = special.classAttribute(facts, name)
        if static is not None:
            return static
        enum = facts.enumOfValue(name)
        if enum is not None:
            return enumValue(enum, name)
        if name in facts.enums and facts.enums[name].registered:
            return enumWrapper(facts.enums[name].owner, name)
        methods = facts.methods.get(name)
        if methods is not None:
            return special.staticMethod(methods) or SlotFunction(methods, facts.name, None)
        raise AttributeError(f"type object '{facts.name}' has no attribute '{name}'")


class PythonQtInstanceWrapper(metaclass=PythonQtClassWrapper):
    """A proxy of one PySide6 object. Everything but Python's own protocol goes through the reference."""

    _isProxy = True
    _facts = None
    _native: Any = None

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        facts = type(self)._facts
        if facts is None:
            raise TypeError("PythonQt classes are made by the harness only.")
        if facts.constructor is None:
            raise TypeError(f"No constructors available for {facts.name}: it cannot be created from Python")
        if keywords:
            raise TypeError(f"{facts.name}: PythonQt has no keyword arguments: {', '.join(keywords)}")
        implementation = implementationOf(facts.name)
        if implementation is None:
            raise NotImplementedError(f"The harness does not implement {facts.name}.")
        made = special.construct(facts, arguments)
        if made is None:
            values = [unwrap(argument) for argument in arguments]
            native = nativeSubclass(type(self), implementation)
            described = implementation if facts.isQtsOwn else None
            made = self._construct(native, described, values)
        object.__setattr__(self, "_native", made)
        remember(self, made)
        bind = getattr(made, "_bindProxy", None)
        if bind is not None:
            bind(self)

    @staticmethod
    def _construct(native: type, described: type | None, values: list[Any]) -> Any:
        if described is not None:
            return callNative(native, described, values, native.__name__)
        # CTK's and Slicer's classes have one constructor that takes the parent.
        if len(values) > 1 or (values and values[0] is not None and not isinstance(values[0], QtCore.QObject)):
            raise NoOverload(f"Could not find matching overload for {native.__name__}(QWidget* parent=None)")
        return native(*values)

    def _isAlive(self) -> bool:
        return self._native is not None and shiboken6.isValid(self._native)

    def _liveNative(self) -> Any:
        if not self._isAlive():
            raise ValueError(f"Trying to use a destroyed {type(self)._facts.name} object")
        return self._native

    def __getattr__(self, name: str) -> Any:
        # Python comes here when neither the Python class nor the instance's own dictionary has the name.
        facts: ClassFacts = type(self)._facts
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "name" and facts.isQObject and "name" not in facts.properties:
            name = "objectName"
        found = facts.properties.get(name)
        if found is not None and not special.isShadowed(facts, name):
            return properties.read(self._liveNative(), found)
        static = special.instanceAttribute(self, facts, name)
        if static is not None:
            return static
        if name in facts.methods:
            return SlotFunction(facts.methods[name], facts.name, self)
        if name in facts.signals:
            return signals.SignalFunction(name, facts, self)
        enum = facts.enumOfValue(name)
        if enum is not None:
            return enumValue(enum, name)
        if facts.isQObject and self._isAlive():
            known, value = properties.readDynamic(self._native, name)
            if known:
                return value
            for child in self._native.children():
                if child.objectName() == name:
                    return wrap(child)
        raise AttributeError(f"{facts.name} has no attribute named '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        facts: ClassFacts = type(self)._facts
        if name == "name" and facts.isQObject and "name" not in facts.properties:
            name = "objectName"
        found = facts.properties.get(name)
        if found is not None and not special.isShadowed(facts, name):
            if not self._isAlive():
                raise AttributeError(f"Trying to set property '{name}' on a destroyed {facts.name} object")
            properties.write(self._native, found, unwrap(value), facts.name)
            return
        kinds = ((facts.methods, "Slot"), (facts.signals, "Signal"), (facts.enums, "Enum"))
        for members, kind in kinds:
            if name in members:
                raise AttributeError(f"{kind} '{name}' can not be overwritten on {facts.name} object")
        if facts.isQObject and self._isAlive() and properties.readDynamic(self._native, name)[0]:
            self._native.setProperty(name, unwrap(value))
            return
        if type(self) is _proxyClass(facts.name):
            raise AttributeError(
                f"Attribute '{name}' does not exist on {facts.name} and creating new attributes"
                " on C++ objects is not allowed"
            )
        object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        facts: ClassFacts = type(self)._facts
        return sorted({*object.__dir__(self), *facts.properties, *facts.methods, *facts.signals})

    def className(self) -> str:
        return type(self).__name__

    def inherits(self, className: str) -> bool:
        """True for the class itself and every C++ class that it derives from."""
        return className in type(self)._facts.lineage

    def delete(self) -> None:
        """Deletes the C++ object."""
        shiboken6.delete(self._liveNative())

    def __repr__(self) -> str:
        facts: ClassFacts = type(self)._facts
        if not self._isAlive():
            return f"{facts.name} (C++ object at: None)"
        if not facts.isQObject:
            return f"{facts.name} ({self._native!r})"
        return f"{facts.name} (C++ object at: {wrapping.address(self._native):#x})"

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if other is None:
            return not self._isAlive()
        if not isinstance(other, PythonQtInstanceWrapper):
            return NotImplemented
        if type(self)._facts.isQObject or type(other)._facts.isQObject:
            return self._native is other._native
        return bool(self._native == other._native)

    def __hash__(self) -> int:
        return hash(self._native) if not type(self)._facts.isQObject else id(self._native)


def _operator(name: str) -> Any:
    def apply(self: PythonQtInstanceWrapper, other: Any) -> Any:
        function = getattr(self._liveNative(), name, None)
        result = NotImplemented if function is None else function(unwrap(other))
        return result if result is NotImplemented else wrap(result)

    apply.__name__ = name
    return apply


for _name in ("__lt__", "__le__", "__gt__", "__ge__", "__add__", "__sub__", "__mul__", "__truediv__", "__or__"):
    setattr(PythonQtInstanceWrapper, _name, _operator(_name))


@cache
def _proxyClass(name: str) -> type:
    facts = classFacts(name)
    namespace = {"_facts": facts, "__module__": _moduleOf(name), "__doc__": f"{facts.header}"}
    return PythonQtClassWrapper(name, (PythonQtInstanceWrapper,), namespace)


def _moduleOf(name: str) -> str:
    if name.startswith("Q"):
        return "qt"
    return "ctk" if name.startswith("ctk") else "slicer"


def proxyClass(name: str) -> type:
    """The class for `qt.X`, `ctk.X` or `slicer.X`. Raises AttributeError for a class that the reference lacks."""
    if not isKnownClass(name):
        raise AttributeError(f"There is no class '{name}' in Slicer's Qt API")
    return _proxyClass(name)


wrapping.setClassLookup(proxyClass)
