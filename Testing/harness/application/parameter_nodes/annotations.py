"""What may stand in `Annotated[type, ...]` of a parameter: a default, validators, hints for widgets."""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


class Default:
    """The value of a parameter that the node does not have yet; a generator is called each time."""

    def __init__(self, value: Any = None, *, generator: Callable[[], Any] | None = None) -> None:
        self._value = value
        self._generator = generator

    @property
    def value(self) -> Any:
        return self._value if self._generator is None else self._generator()


@dataclass
class Decimals:
    value: int


@dataclass
class SingleStep:
    value: float


class Validator(ABC):
    """Run before a value is written; raises an exception to refuse it."""

    @abstractmethod
    def validate(self, value: Any) -> None: ...


class NotNone(Validator):
    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("The value must not be None")


class IsInstance(Validator):
    """None passes: `NotNone` is for that."""

    def __init__(self, classtype: type | tuple[type, ...]) -> None:
        self.classtype = classtype

    def validate(self, value: Any) -> None:
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(f"The value must be of type {self.classtype}, not {type(value)}: {value!r}")


class Minimum(Validator):
    def __init__(self, minimum: float) -> None:
        self.minimum = minimum

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"The value must be at least {self.minimum}: {value}")


class Maximum(Validator):
    def __init__(self, maximum: float) -> None:
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"The value must be at most {self.maximum}: {value}")


class WithinRange(Validator):
    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum = minimum
        self.maximum = maximum

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"The value must be from {self.minimum} to {self.maximum}: {value}")


class Choice(Validator):
    def __init__(self, choices: Sequence[Any]) -> None:
        self.choices = choices

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"The value must be one of {self.choices}: {value!r}")


class Exclude(Validator):
    def __init__(self, excludedValues: Iterable[Any]) -> None:
        self.excludedValues = excludedValues

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"The value must be none of {self.excludedValues}: {value!r}")


def splitAnnotations(possiblyAnnotatedType: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type and its annotations, which are none if it is not `Annotated`."""
    if typing.get_origin(possiblyAnnotatedType) is typing.Annotated:
        actual, *annotations = typing.get_args(possiblyAnnotatedType)
        return actual, tuple(annotations)
    return possiblyAnnotatedType, ()


def unannotatedType(possiblyAnnotatedType: Any) -> Any:
    return splitAnnotations(possiblyAnnotatedType)[0]


def findFirstAnnotation(annotations: Iterable[Any], annotationType: type) -> Any:
    return next((annotation for annotation in annotations if isinstance(annotation, annotationType)), None)


def isNodeType(type_: Any) -> bool:
    import slicer

    return isinstance(type_, type) and issubclass(type_, slicer.vtkMRMLNode)


def _unionMembers(datatype: Any) -> list[Any]:
    """The types of a `typing.Union`; of any other type, that type. `X | Y` is no typing.Union, to Slicer neither."""
    actual = unannotatedType(datatype)
    if typing.get_origin(actual) is typing.Union:
        return [unannotatedType(member) for member in typing.get_args(actual)]
    return [actual]


def isNodeOrUnionOfNodes(datatype: Any) -> bool:
    members = _unionMembers(datatype)
    return all(isNodeType(member) or (member is type(None) and len(members) > 1) for member in members)


def getNodeTypes(datatype: Any) -> tuple[str, ...]:
    """The class names, for qMRMLNodeComboBox.nodeTypes."""
    if not isNodeOrUnionOfNodes(datatype):
        raise TypeError(f"Not a type of node: {datatype}")
    return tuple(member().GetClassName() for member in _unionMembers(datatype) if isNodeType(member))
