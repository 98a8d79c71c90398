"""What the index's reviewers ask of an extension's repository."""

from __future__ import annotations

import ast
import struct
import subprocess
import sys

import pytest

from Testing.packaging.extension_build import REPOSITORY

MODULE = REPOSITORY / "MemorizingSAM3D" / "MemorizingSAM3D.py"
COMES_WITH_SLICER = {"slicer", "vtk", "qt", "ctk", "numpy"}
LIMIT_BYTES = 100 * 1024**2


def test_the_module_imports_nothing_at_file_scope_that_slicer_has_not():
    imported = set()
    for node in _file_scope(ast.parse(MODULE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])

    assert "slicer" in imported
    assert imported - COMES_WITH_SLICER - sys.stdlib_module_names == set()


def test_the_licence_is_in_the_root():
    text = (REPOSITORY / "LICENSE").read_text(encoding="utf-8")

    assert "Apache License" in text and "Version 2.0" in text


def test_the_icon_is_of_the_size_that_the_extension_manager_shows():
    header = (REPOSITORY / "Resources" / "Icons" / "MemorizingSAM3D.png").read_bytes()[:24]

    assert struct.unpack(">II", header[16:24]) == (128, 128)


def test_a_clone_takes_less_than_the_index_allows():
    if not (REPOSITORY / ".git").exists():
        pytest.skip("a source distribution has no history")
    # What a clone gets, and not what this machine's .git has collected besides.
    history = int(_git("rev-list", "--objects", "--all", "--disk-usage"))
    checked_out = [REPOSITORY / name for name in _git("ls-files", "-z").split("\0") if name]
    files = sum(path.stat().st_size for path in checked_out if path.is_file())

    assert 0 < history + files < LIMIT_BYTES


def _file_scope(tree):
    """All that runs when the file is imported: all but the insides of functions."""
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            nodes.extend(ast.iter_child_nodes(node))


def _git(*arguments):
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
