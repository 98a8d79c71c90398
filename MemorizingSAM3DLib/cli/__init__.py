"""The command line ``memorizing-sam3d``.

Exit codes: 0 done, 1 the job failed (one red line says why and what to do), 2 wrong usage, 130 interrupted.
Modules of subcommands import what is heavy (torch, SimpleITK) inside their functions, so that ``--help`` is instant.
"""

from __future__ import annotations

import importlib
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from ..engine.errors import EngineError
from .moved import refuse_old_options

# Modules of this folder, in the order of the help. Each has ``register(app)``, which adds its command or group.
_MODULES = (
    "segment", "demo", "train", "train_memory", "distill", "data", "evaluate", "benchmark",
    "memory", "checkpoint", "moved",
)  # fmt: skip


class Commands(TyperGroup):
    """Turns what the user can mend into one line, instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            refuse_old_options(ctx.args)
            return super().invoke(ctx)
        except EngineError as error:
            Console(stderr=True).print(f"[red]Error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            Console(stderr=True).print("Interrupted.")
            raise typer.Exit(130) from error


app = typer.Typer(
    name="memorizing-sam3d",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"memorizing-sam3d {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Segment 3D medical scans by clicks, as the 3D Slicer extension MemorizingSAM3D does, from the command line."""


for _module in _MODULES:
    importlib.import_module(f".{_module}", __name__).register(app)


def main() -> None:
    """The entry point ``memorizing-sam3d``; ends the process with an exit code."""
    app()
