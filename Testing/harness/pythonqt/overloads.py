"""Calls a method of PySide6 the way PythonQt calls one of Qt: picks the overload, converts leniently (rule 9)."""

from __future__ import annotations

import collections.abc
import enum
import inspect
import math
import types
import typing
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import shiboken6
from shibokensupport.signature import get_signature

from Testing.harness.pythonqt.enums import PythonQtEnum, toNative

# What a conversion costs; an overload with the smallest sum is called. LENIENT: only if nothing fits exactly.
EXACT, NEAR, FAR, LENIENT = 0.0, 1.0, 4.0, 20.0
Converted = tuple[float, Any]
_NO_ARGUMENT = object()


class NoOverload(ValueError):
    """As PythonQt: ValueError 'Could not find matching overload'."""


def callNative(function: Callable[..., Any], described: Any, arguments: Sequence[Any], name: str) -> Any:
    """Calls `function` with unwrapped arguments.

    Args:
        described: the PySide6 method or class whose signature holds; `function` may be an override of it.

    Raises:
        NoOverload: the arguments fit no overload.
    """
    candidates = []
    for parameters in _overloads(described):
        converted = _convertAll(parameters, arguments)
        if converted is not None:
            candidates.append(converted)
    if not _overloads(described):
        candidates.append((0.0, [plain(argument) for argument in arguments]))
    candidates.sort(key=lambda candidate: candidate[0])
    refused: Exception | None = None
    for _cost, values in candidates:
        try:
            return function(*values)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                raise  # not a refusal of the arguments: Python code further down failed
            refused = error
    shown = ", ".join(f"{type(argument).__name__}" for argument in arguments)
    raise NoOverload(f"Could not find matching overload for given arguments: {name}({shown})") from refused


@cache
def _overloads(described: Any) -> tuple[tuple[inspect.Parameter, ...], ...]:
    signatures = get_signature(described)
    if signatures is None:
        return ()
    if not isinstance(signatures, list):
        signatures = [signatures]
    overloads = []
    for signature in signatures:
        overloads.append(
            tuple(
                parameter
                for parameter in signature.parameters.values()
                if parameter.name != "self" and parameter.kind is not inspect.Parameter.KEYWORD_ONLY
            )
        )
    return tuple(overloads)


def _convertAll(parameters: Sequence[inspect.Parameter], arguments: Sequence[Any]) -> tuple[float, list[Any]] | None:
    variadic = any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
    required = sum(
        parameter.default is inspect.Parameter.empty and parameter.kind is not inspect.Parameter.VAR_POSITIONAL
        for parameter in parameters
    )
    if len(arguments) < required or (len(arguments) > len(parameters) and not variadic):
        return None
    cost, values = 0.0, []
    for index, argument in enumerate(arguments):
        annotation = parameters[min(index, len(parameters) - 1)].annotation
        converted = convert(annotation, argument)
        if converted is None:
            return None
        cost += converted[0]
        values.append(converted[1])
    return cost, values


def plain(value: Any) -> Any:
    """Enum values as PySide6 wants them, where no signature tells."""
    return value.native if isinstance(value, PythonQtEnum) and value.native is not None else value


def convert(annotation: Any, value: Any) -> Converted | None:
    """The cost and the converted value; None if the value does not fit."""
    if annotation is inspect.Parameter.empty or annotation in (Any, object):
        return NEAR * 3, plain(value)
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        options = [convert(option, value) for option in typing.get_args(annotation)]
        fitting = [option for option in options if option is not None]
        return min(fitting, key=lambda option: option[0]) if fitting else None
    if annotation is type(None) or annotation is None:
        return (EXACT, None) if value is None else None
    if origin is collections.abc.Callable or annotation is collections.abc.Callable:
        return (EXACT, value) if callable(value) else None
    if origin in (list, tuple, collections.abc.Sequence, collections.abc.Iterable):
        return _convertSequence(typing.get_args(annotation), value)
    if origin is not None or not isinstance(annotation, type):
        return FAR, plain(value)
    if issubclass(annotation, enum.Enum):
        return _convertEnum(annotation, value)
    scalar = _SCALARS.get(annotation, _NO_ARGUMENT)
    if scalar is not _NO_ARGUMENT:
        return scalar(value)  # type: ignore[operator]
    if annotation in (bytes, bytearray, memoryview):
        return _convertBytes(value)
    if isinstance(value, annotation):
        return EXACT, value
    if value is None and issubclass(annotation, shiboken6.Object):
        return NEAR, None
    return None


def _convertSequence(inner: tuple[Any, ...], value: Any) -> Converted | None:
    if not isinstance(value, (list, tuple)):
        return None
    cost, values = 0.0, []
    for item in value:
        converted = convert(inner[0], item) if inner else (EXACT, plain(item))
        if converted is None:
            return None
        cost += converted[0]
        values.append(converted[1])
    return cost, values


def _convertEnum(annotation: type[enum.Enum], value: Any) -> Converted | None:
    if isinstance(value, annotation):
        return EXACT, value
    if isinstance(value, PythonQtEnum) and isinstance(value.native, annotation):
        return EXACT, value.native
    if isinstance(value, int) and not isinstance(value, bool):
        member = toNative(value, annotation)
        cost = FAR * 2 if isinstance(value, PythonQtEnum) else NEAR * 2
        return None if member is None else (cost, member)
    return None


def toStr(value: Any) -> Converted | None:
    return (EXACT, value) if isinstance(value, str) else (LENIENT, str(value))


def toInt(value: Any) -> Converted | None:
    if isinstance(value, bool):
        return NEAR, int(value)
    if isinstance(value, int):
        return EXACT, int(value)
    if isinstance(value, float):
        return LENIENT, math.floor(value)
    if hasattr(value, "__index__"):
        return NEAR, int(value)
    return None


def toFloat(value: Any) -> Converted | None:
    if isinstance(value, float):
        return EXACT, float(value)
    if isinstance(value, (bool, int)) or hasattr(value, "__float__"):
        return NEAR, float(value)
    return None


def toBool(value: Any) -> Converted | None:
    return (EXACT, value) if isinstance(value, bool) else (LENIENT, bool(value))


def _convertBytes(value: Any) -> Converted | None:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return EXACT, bytes(value)
    return (NEAR, value.encode()) if isinstance(value, str) else None


_SCALARS: dict[type, Callable[[Any], Converted | None]] = {str: toStr, int: toInt, float: toFloat, bool: toBool}
