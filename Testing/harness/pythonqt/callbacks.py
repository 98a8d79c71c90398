"""Calling Python from Qt as PythonQt does: no more arguments than the function takes, exceptions printed."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

from Testing.harness.pythonqt import errors

_VARIADIC = 0x04


def argumentsTaken(function: Any) -> int | None:
    """How many arguments PythonQt passes at most; None: all that the signal has.

    Only plain functions and bound methods are looked into, by their number of positional parameters, those with a
    default included. A partial, a slot or an object with `__call__` gets everything.
    """
    bound = isinstance(function, types.MethodType)
    plain = function.__func__ if bound else function
    if not isinstance(plain, types.FunctionType) or plain.__code__.co_flags & _VARIADIC:
        return None
    return max(plain.__code__.co_argcount - int(bound), 0)


def callBack(function: Callable[..., Any], arguments: Sequence[Any], where: str) -> Any:
    """Calls with wrapped arguments; an exception is recorded, and None is returned."""
    from Testing.harness.pythonqt.wrapping import wrap

    count = argumentsTaken(function)
    taken = arguments if count is None else arguments[:count]
    try:
        return function(*(wrap(argument) for argument in taken))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # whatever a slot raises, pytest.fail() too: PythonQt prints it and goes on
        errors.record(where, error)
        return None


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` for Qt to call."""
    where = f"callback {getattr(function, '__qualname__', function)!s}"

    def deliver(*arguments: Any) -> Any:
        return callBack(function, arguments, where)

    return deliver
