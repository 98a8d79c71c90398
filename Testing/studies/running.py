"""The studies' program in this process."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner

from studies.__main__ import app


def run(*arguments: object) -> Any:
    """The result of `python -m studies` with these arguments."""
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [*map(str, arguments)])
