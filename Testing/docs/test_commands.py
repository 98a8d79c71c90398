"""Every command in the pages: its options exist, and it runs."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from studies.__main__ import app as studies
from Testing.docs.pages import NAMES, REPOSITORY, Page
from Testing.docs.substitutions import INSTEAD, OTHER_PROGRAMS, PLACEHOLDERS, replaced

PROGRAM = "memorizing-sam3d"


class Ours(NamedTuple):
    """A call of our command line: `name` is that of the subcommand ("memory add"), `words` what follows it."""

    command: Any
    name: str
    words: list[str]


@cache
def subcommands() -> dict[str, Any]:
    """Those that do something, by their full names."""

    def below(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield name, command
            return
        for word, child in command.commands.items():
            yield from below(child, f"{name} {word}".strip())

    own = dict(below(typer.main.get_command(app), ""))
    return own | {f"studies {name}": command for name, command in below(typer.main.get_command(studies), "")}


def ours(words: list[str]) -> Ours | None:
    """The call of our command line that a command of a page is; None if it is another program's."""
    if words[0] == "torchrun" and "-m" in words:
        words = ["python", *words[words.index("-m") :]]
    if words[:3] == ["python", "-m", "MemorizingSAM3DLib.cli"]:
        words = [PROGRAM, *words[3:]]
    if words[:3] == ["python", "-m", "studies"]:
        words = [PROGRAM, *words[2:]]
    if words[0] != PROGRAM:
        return None
    words = [PLACEHOLDERS.get(word, word) for word in words[1:]]
    for count in (2, 1):
        name = " ".join(words[:count])
        if name in subcommands():
            return Ours(subcommands()[name], name, words[count:])
    raise AssertionError(f"there is no command {PROGRAM} {' '.join(words)}")


def options_of(command: Any) -> set[str]:
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_one_that_the_command_line_understands(name, a_readers_folder):
    (a_readers_folder / "data").mkdir()
    (a_readers_folder / "data" / "manifest.json").write_text("[]")
    for words in Page(name).commands():
        call = ours(words)
        if call is not None:
            for made in ("my_memory", "other_memory", "my_memory.safetensors"):  # by the lines before it
                (a_readers_folder / made).touch()
            # Reads options and arguments, and fails for what is unknown, missing or out of range. Runs nothing.
            call.command.make_context(call.name, list(call.words))


@pytest.mark.parametrize("line", ["train --setp 3 --out x", "evaluate --out x", "segment --output x.nrrd"])
def test_a_command_that_is_not_understood_is_found(line, a_readers_folder):
    call = ours([PROGRAM, *line.split()])

    assert call is not None
    with pytest.raises(Exception, match="No such option|Missing parameter"):
        call.command.make_context(call.name, list(call.words))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_of_a_page_runs_one_after_the_other(name, a_readers_folder):
    runner = CliRunner(env={"COLUMNS": "200"})
    commands = list(Page(name).commands())
    if not any("manifest" in words for words in commands):  # a page that does not make one takes it for granted
        commands = [["mkdir", "data"], [PROGRAM, *"data manifest FOLDER --out data/manifest.json".split()], *commands]
    for words in commands:
        if words[0] == "mkdir":
            Path(words[1]).mkdir()
        call = ours(words)
        instead = replaced(call.words, call.name) if call else None
        if call and instead is not None and not _is_an_evaluation_of_an_earlier_page(call, words, name):
            _run(runner, [*call.name.split(), *instead])


def _is_an_evaluation_of_an_earlier_page(call: Ours, words: list[str], name: str) -> bool:
    """Evaluations take longest, and nothing after them needs what they write."""
    earlier = NAMES[: NAMES.index(name)]
    return call.name == "evaluate" and any(words in Page(other).commands() for other in earlier)


def _run(runner: CliRunner, words: list[str]) -> None:
    result = runner.invoke(app, words)
    assert result.exit_code == 0, f"{PROGRAM} {shlex.join(words)}\n{result.output[-3000:]}\n{result.exception!r}"


@pytest.mark.parametrize("name", NAMES)
def test_every_other_command_is_known(name):
    for words in Page(name).commands():
        if ours(words) is None and not _is_shells_own(words):
            program = words[0].replace(".venv/bin/", "")
            assert program in {"make", *OTHER_PROGRAMS}, words
            if words[:2] == ["python", "-m"] and words[2].startswith(("Testing", "MemorizingSAM3DLib")):
                assert importlib.util.find_spec(words[2]) is not None, words


def _is_shells_own(words: list[str]) -> bool:
    """An assignment, or a command that every shell has."""
    return words[0] in (".", "cd", "ls", "mkdir") or "=" in words[0]


def make_commands() -> list[list[str]]:
    found: dict[str, list[str]] = {}
    for name in NAMES:
        page = Page(name)
        inline = [shlex.split(code) for code in page.inline() if code.startswith("make ")]
        for words in [*page.commands(), *inline]:
            if words[0] == "make":
                found.setdefault(shlex.join(words), words)
    return list(found.values())


@pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("make") is None, reason="needs make and a POSIX shell, as the Makefile does"
)
@pytest.mark.parametrize("words", make_commands(), ids=shlex.join)
def test_every_target_is_one_of_the_makefile(words):
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for word in words[1:]:
        variable, is_assignment, _ = word.partition("=")
        if is_assignment:
            assert f"\n{variable} ?=" in makefile
    done = subprocess.run([words[0], "-n", *words[1:]], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_command_within_a_sentence_has_options_that_exist(name):
    for code in Page(name).inline():
        if code.startswith(f"{PROGRAM} ") and code.split()[1] not in ("--help", "--version"):
            if code in {f"{PROGRAM} {group}" for group in ("memory", "checkpoint", "data", "benchmark")}:
                continue
            call = ours(shlex.split(code))
            assert call is not None
            assert {word for word in call.words if word.startswith("--")} <= options_of(call.command), code


def test_every_option_that_the_readme_mentions_exists():
    known = set().union(*(options_of(command) for command in subcommands().values())) | {"--help", "--version"}
    for name in ("README.md", "docs/memory.md", "docs/evaluation.md", "docs/training.md", "docs/speed.md"):
        mentioned = {code.split()[0] for code in Page(name).inline() if code.startswith("--")}
        assert mentioned <= known, name


def test_the_windows_lines_are_understood_too():
    lines = [line for block in Page("README.md").blocks("bat") for line in block.splitlines()]
    (demo,) = [line.split() for line in lines if PROGRAM in line]
    call = ours([PROGRAM, *demo[1:]])

    assert call is not None and call.name == "demo"
    call.command.make_context(call.name, list(call.words))


def test_what_is_put_in_the_place_of_options_exists():
    for name, options in INSTEAD.items():
        assert set(options or {}) <= options_of(subcommands()[name]), name
