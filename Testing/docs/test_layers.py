"""The developer guide's table of who may import what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from Testing.docs.pages import REPOSITORY

LIBRARY = REPOSITORY / "MemorizingSAM3DLib"
SLICER, QT = {"slicer", "vtk", "vtkmodules", "mrml"}, {"qt", "ctk", "PySide6"}
NEVER = {
    "engine": SLICER | QT | {"learning", "installation", "scene", "ui", "cli", "benchmarks"},
    "learning": SLICER | QT | {"installation", "scene", "ui", "cli", "benchmarks"},
    "installation": SLICER | QT | {"torch", "numpy", "learning", "scene", "ui", "cli", "benchmarks"},
    "scene": QT | {"installation", "ui", "cli", "benchmarks"},
    "ui": {"torch", "learning", "cli", "benchmarks"},
    "cli": QT | {"ui"},
}
HEAVY = {"torch", "monai", "skimage", "matplotlib"}  # what Slicer does not bring along


def imports(path: Path, tree: ast.AST) -> Iterator[str]:
    """What is imported in a piece of a file: a package's name, or the name of a folder of the library."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            folder = path.relative_to(REPOSITORY).with_suffix("").parts
            start = folder[: len(folder) - node.level] if node.level else ()
            names = [".".join([*start, node.module or "", node.names[0].name]).replace("..", ".")]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            yield rest.partition(".")[0] if package == LIBRARY.name else package


def when_loaded(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when a module is loaded, without those for type checkers."""
    for statement in tree.body:
        is_for_types = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.dump(statement.test)
        if isinstance(statement, (ast.Import, ast.ImportFrom, ast.If, ast.Try)) and not is_for_types:
            yield statement


@pytest.mark.parametrize("folder", NEVER)
def test_a_folder_imports_nothing_that_it_may_not(folder):
    files = list((LIBRARY / folder).rglob("*.py"))
    found = {
        (path.name, name)
        for path in files
        for name in imports(path, ast.parse(path.read_text(encoding="utf-8")))
        if name in NEVER[folder]
    }

    assert files
    assert found == set()


@pytest.mark.parametrize("folder", ["scene", "ui", "installation", "cli"])
def test_nothing_heavy_is_imported_when_a_module_is_loaded(folder):
    found = {
        (path.name, name)
        for path in (LIBRARY / folder).rglob("*.py")
        for statement in when_loaded(ast.parse(path.read_text(encoding="utf-8")))
        for name in imports(path, statement)
        if name in HEAVY
    }

    assert found == set()


def test_an_import_that_is_not_allowed_is_seen():
    source = "import torch\nfrom ..scene import volumes\nfrom MemorizingSAM3DLib.ui.panel import panel\nimport vtk.util"

    assert list(imports(LIBRARY / "engine" / "made_up.py", ast.parse(source))) == ["torch", "scene", "ui", "vtk"]
