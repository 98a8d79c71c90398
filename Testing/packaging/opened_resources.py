"""Reads in the sources which resources they open, without running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from Testing.packaging.extension_build import REPOSITORY


def source_files() -> list[Path]:
    """Every Python file that is installed."""
    return [
        REPOSITORY / "MemorizingSAM3D" / "MemorizingSAM3D.py",
        *sorted(REPOSITORY.glob("MemorizingSAM3DLib/**/*.py")),
    ]


def calls(path: Path, name: str) -> Iterator[ast.Call]:
    """All calls of a function of this name, or of a method."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            called = function.id if isinstance(function, ast.Name) else getattr(function, "attr", None)
            if called == name:
                yield node


def texts(path: Path) -> Iterator[str]:
    """All strings that are written in a file as they are."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def opened_resources() -> dict[str, str]:
    """Glob patterns below Resources, and where each stands: `Icons/*.png` for an f-string with the name in it."""
    found = {}
    for path in source_files():
        where = path.relative_to(REPOSITORY).as_posix()
        for call in calls(path, "resource_path"):
            if call.args and not isinstance(call.args[0], ast.Starred):
                found["/".join(_pattern(argument) for argument in call.args)] = f"{where}:{call.lineno}"
        for call in calls(path, "icon"):
            if call.args and isinstance(call.args[0], ast.Constant):
                found[f"Icons/{call.args[0].value}.png"] = f"{where}:{call.lineno}"
    return found


def _pattern(argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    if isinstance(argument, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in argument.values)
    return "*"
