"""How values of each type are kept in a vtkMRMLScriptedModuleNode: as text, or as a node reference."""

from __future__ import annotations

import enum
import pathlib
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from Testing.harness.application.parameter_nodes.annotations import (
    IsInstance,
    NotNone,
    Validator,
    isNodeType,
    splitAnnotations,
)

_PATHS = (
    pathlib.Path,
    pathlib.PosixPath,
    pathlib.WindowsPath,
    pathlib.PurePath,
    pathlib.PurePosixPath,
    pathlib.PureWindowsPath,
)


class Storage(ABC):
    """Reads, checks and writes the parameter values of one type."""

    def __init__(self, validators: tuple[Validator, ...]) -> None:
        self.validators = validators

    @abstractmethod
    def impliedDefault(self) -> Any: ...

    def isIn(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(name))

    @abstractmethod
    def read(self, node: Any, name: str) -> Any: ...

    def write(self, node: Any, name: str, value: Any) -> None:
        """Raises what a validator raises; then nothing is written."""
        self.check(value)
        self._put(node, name, value)

    def check(self, value: Any) -> None:
        for validator in self.validators:
            validator.validate(value)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)

    @abstractmethod
    def _put(self, node: Any, name: str, value: Any) -> None: ...


class TextStorage(Storage):
    def __init__(
        self,
        validators: tuple[Validator, ...],
        default: Any,
        toText: Callable[[Any], str],
        fromText: Callable[[str], Any],
    ) -> None:
        super().__init__(validators)
        self._default, self._toText, self._fromText = default, toText, fromText

    def impliedDefault(self) -> Any:
        return self._default

    def read(self, node: Any, name: str) -> Any:
        return self._fromText(node.GetParameter(name))

    def _put(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, self._toText(value))


class NodeStorage(Storage):
    """A reference, beside an empty parameter of the same name: a reference alone cannot say that it is None."""

    def impliedDefault(self) -> Any:
        return None

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        super().remove(node, name)
        node.RemoveNodeReferenceIDs(name)

    def _put(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, None if value is None else value.GetID())


class UnionStorage(Storage):
    """The value is kept under the name of the first member that takes it."""

    def __init__(self, validators: tuple[Validator, ...], members: list[Storage]) -> None:
        super().__init__(validators)
        self._members = members

    def impliedDefault(self) -> Any:
        optional = len(self._members) == 2 and isinstance(self._members[1], _NoneStorage)
        return None if optional else self._members[0].impliedDefault()

    def isIn(self, node: Any, name: str) -> bool:
        return any(member.isIn(node, f"{name}_{index}") for index, member in enumerate(self._members))

    def read(self, node: Any, name: str) -> Any:
        for index, member in enumerate(self._members):
            if member.isIn(node, f"{name}_{index}"):
                return member.read(node, f"{name}_{index}")
        raise KeyError(f"The node has no parameter {name}")

    def remove(self, node: Any, name: str) -> None:
        for index, member in enumerate(self._members):
            member.remove(node, f"{name}_{index}")

    def _put(self, node: Any, name: str, value: Any) -> None:
        for index, member in enumerate(self._members):
            if isinstance(value, type(None)) is not isinstance(member, _NoneStorage):
                continue
            try:
                member.check(value)
            except (TypeError, ValueError):
                continue
            self.remove(node, name)
            member.write(node, f"{name}_{index}", value)
            return
        raise TypeError(f"{value!r} is of none of the types of the union {name}")


class _NoneStorage(Storage):
    def impliedDefault(self) -> Any:
        return None

    def read(self, node: Any, name: str) -> Any:
        return None

    def _put(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, "True")


def storageFor(datatype: Any) -> tuple[Storage, tuple[Any, ...]]:
    """The storage for an annotated type, and its annotations that are no validators.

    Raises:
        TypeError: Slicer has no serializer for the type.
        NotImplementedError: Slicer has one, the harness has none.
    """
    actual, annotations = splitAnnotations(datatype)
    validators = tuple(item for item in annotations if isinstance(item, Validator))
    others = tuple(item for item in annotations if not isinstance(item, Validator))
    return _storageOf(actual, validators), others


def _storageOf(actual: Any, validators: tuple[Validator, ...]) -> Storage:
    if actual is type(None):
        return _NoneStorage(validators)
    origin = typing.get_origin(actual)
    if origin is typing.Union:
        return UnionStorage(validators, [storageFor(member)[0] for member in typing.get_args(actual)])
    if origin in (list, tuple, dict):
        raise NotImplementedError(f"The harness keeps no {origin.__name__} in parameter nodes.")
    if not isinstance(actual, type):
        raise TypeError(f"Slicer cannot keep {actual} in a parameter node (write typing.Optional[X], not X | None).")
    if isNodeType(actual):
        return NodeStorage((IsInstance(actual), *validators))
    if issubclass(actual, enum.Enum):
        return TextStorage((IsInstance(actual), *validators), next(iter(actual)), _nameOf, actual.__getitem__)
    basic: dict[Any, tuple[Any, Callable[[Any], str], Callable[[str], Any]]] = {
        bool: (False, str, "True".__eq__),
        int: (0, str, int),
        float: (0.0, str, float),
        str: ("", str, str),
        **{path: (None, str, path) for path in _PATHS},
    }
    if actual not in basic:
        raise TypeError(f"Slicer cannot keep {actual} in a parameter node.")
    default, toText, fromText = basic[actual]
    accepted: Any = (float, int) if actual is float else actual
    return TextStorage(
        (NotNone(), IsInstance(accepted), *validators),
        actual() if actual in _PATHS else default,
        toText,
        fromText,
    )


def _nameOf(member: enum.Enum) -> str:
    return member.name
