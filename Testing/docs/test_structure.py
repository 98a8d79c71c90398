"""The tree tells the story: layers that import downwards only, no circle, folders and files of a size to read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from Testing.docs.pages import REPOSITORY

LIBRARY = "MemorizingSAM3DLib"
MOST_FILES, MOST_IN_A_FOLDER = 200, 15
SHORTEST, LONGEST = 40, 520

# What a layer may import of the others; studies stand on top of all but ui.
LAYERS = {
    "engine": set(),
    "installation": {"engine"},  # of it what needs no package: files, errors
    "learning": {"engine"},
    "scene": {"engine"},
    "scene.headless": {"engine", "learning", "scene"},
    "ui": {"engine", "installation", "scene"},
    "benchmarks": {"engine", "learning", "scene", "scene.headless"},
    "cli": {"engine", "learning", "scene", "scene.headless", "benchmarks"},
    "studies": {"engine", "learning", "scene", "scene.headless", "benchmarks", "cli"},
}


@cache
def sources() -> dict[str, Path]:
    """The library's and the studies' modules, by their names."""
    found = {}
    for top in (LIBRARY, "studies"):
        for path in sorted((REPOSITORY / top).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, tree: ast.AST, modules: dict[str, Path]) -> Iterator[str]:
    """The modules among `modules` that a module's text imports, at any place in it, for type checkers too."""
    is_package = modules[name].name == "__init__.py"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            start = name.split(".") if is_package else name.split(".")[:-1]
            start = start[: len(start) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield from (n for n in (f"{base}.{alias.name}", base) if n in modules)


@cache
def graph() -> dict[str, set[str]]:
    """What each module imports of the others. That a package's `__init__` loads its parts is no import of theirs."""
    modules = sources()
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in modules.items()}
    found = {}
    for name, tree in trees.items():
        others = {other for other in imported(name, tree, modules) if other != name}
        found[name] = {
            o for o in others if not any(p.startswith(f"{o}.") for p in others) or modules[o].name != "__init__.py"
        }
    return found


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, directly or through others."""
    reached: dict[str, set[str]] = {}
    for start in edges:
        seen: set[str] = set()
        left = list(edges[start])
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += edges.get(name, ())
        reached[start] = seen
    groups = {tuple(sorted(b for b in edges if a in reached[b] and b in reached[a])) for a in edges if a in reached[a]}
    return [list(group) for group in sorted(groups)]


def layer(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "studies":
        return "studies"
    return "scene.headless" if parts[1:3] == ["scene", "headless"] else ".".join(parts[1:2])


def test_no_module_imports_itself_by_way_of_others():
    assert circles(graph()) == []


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_layers_import_downwards_only():
    wrong = [
        (name, other)
        for name, others in graph().items()
        for other in others
        if layer(name) and layer(other) and layer(name) != layer(other) and layer(other) not in LAYERS[layer(name)]
    ]

    assert wrong == []


def test_every_folder_is_a_layer_that_is_listed():
    assert {layer(name) for name in sources()} - {""} <= set(LAYERS)


def test_there_are_files_enough_and_no_more():
    files = [path for name, path in sources().items() if name.startswith(LIBRARY) and path.name != "__init__.py"]

    assert 100 < len(files) <= MOST_FILES


def test_no_folder_is_too_full_to_look_through():
    folders = {path.parent for path in sources().values()}
    full = {
        folder.relative_to(REPOSITORY).as_posix(): count
        for folder in folders
        if (count := sum(path.name != "__init__.py" for path in folder.glob("*.py"))) > MOST_IN_A_FOLDER
    }

    assert full == {}


@pytest.mark.parametrize("top", [LIBRARY, "studies"])
def test_no_file_is_too_short_or_too_long(top):
    lengths = {
        path.relative_to(REPOSITORY).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for name, path in sources().items()
        if name.startswith(top)
    }
    wrong = {
        name: lines
        for name, lines in lengths.items()
        if lines > LONGEST or (lines < SHORTEST and not name.endswith(("/__init__.py", "/__main__.py")))
    }

    assert wrong == {}


def test_every_folder_says_what_lives_there():
    silent = [
        name
        for name, path in sources().items()
        if path.name == "__init__.py"
        and not (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").strip()
    ]

    assert silent == []


def test_nothing_private_is_imported_from_another_folder():
    wrong = []
    for name, path in sources().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module != "__future__":
                wrong += [
                    (name, alias.name) for alias in node.names if alias.name.startswith("_") and alias.name[1:2] != "_"
                ]

    assert wrong == []
