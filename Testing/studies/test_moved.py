"""The experiments' old commands say what they are called now."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.cli.moved import OPTIONS


@pytest.mark.parametrize("study", ["mais", "cases", "model"])
def test_an_old_command_says_the_new_one(study):
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["experiment", study, "--manifest", "x", "--out", "y"])

    assert result.exit_code == 1
    assert f"python -m studies {study}" in result.output


def test_the_old_commands_are_not_in_the_help():
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["--help"])

    assert "experiment" not in result.output


@pytest.mark.parametrize(("old", "new"), sorted(OPTIONS.items()))
def test_an_old_option_says_the_new_one(old, new):
    result = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["train-memory", "--out", "x", old, "1"])

    assert result.exit_code == 1
    assert f"Write {new}." in result.output
