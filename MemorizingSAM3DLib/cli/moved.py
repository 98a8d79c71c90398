"""Commands that are elsewhere now, or gone: who calls one by its old name is told the new one."""

from __future__ import annotations

import typer

from MemorizingSAM3DLib.engine.errors import EngineError

_STUDIES = "The experiments are not installed with the program: run {new} in a clone of the repository."

_NOTHING = "It gave nothing (docs/evaluation.md, Attention to remembered cases): leave it away."

# Old name: what to do now.
_MOVED = {
    "experiment mais": _STUDIES.format(new="`python -m studies mais`"),
    "experiment cases": _STUDIES.format(new="`python -m studies cases`"),
    "experiment model": _STUDIES.format(new="`python -m studies model`"),
    "train-gates": _NOTHING,
}
# Options that have another name: an old one is answered with the new one.
OPTIONS: dict[str, str] = {
    "--bare": "--without-session",
    "--stay": "--updates-per-batch",
    "--kinds": "--memory-types",
}
# Options that are gone, with what they switched on.
_GONE = ("--gates", "--fusion", "--inverted")
_ANY = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class MovedError(EngineError):
    """A command has another name now, or is gone."""


def refuse_old_options(words: list[str]) -> None:
    """Says the new name of an option that is called by its old one.

    Raises:
        MovedError: one of the words of a command line is an old option, or one that is gone.
    """
    for word in words:
        name = word.partition("=")[0]
        if name in OPTIONS:
            raise MovedError(f"{name} has another name now.", f"Write {OPTIONS[name]}.")
        if name in _GONE:
            raise MovedError(f"{name} is gone, with what it switched on.", _NOTHING)


def register(app: typer.Typer) -> None:
    """Adds the old names to the program; its help does not show them."""
    groups: dict[str, typer.Typer] = {}
    for name in _MOVED:
        group, _, command = name.rpartition(" ")
        if group and group not in groups:
            groups[group] = typer.Typer()
            app.add_typer(groups[group], name=group, hidden=True)
        to = groups[group] if group else app
        to.command(command, hidden=True, context_settings=_ANY)(_told(name))


def _told(name: str):  # type: ignore[no-untyped-def]
    def moved(context: typer.Context) -> None:
        raise MovedError(f"`{name}` is no command of this program any more.", _MOVED[name])

    return moved
