"""``python -m studies``: repeats published experiments, from the repository's root."""

from __future__ import annotations

import typer

from MemorizingSAM3DLib.cli import Commands

from .run_cases import cases_experiment
from .run_mais import mais
from .run_model import model_experiment

app = typer.Typer(
    name="python -m studies",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
    help="Repeat published experiments: trainings, evaluations, tables.",
)
app.command("mais")(mais)
app.command("cases")(cases_experiment)
app.command("model")(model_experiment)

if __name__ == "__main__":
    app()
