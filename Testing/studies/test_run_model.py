from __future__ import annotations

import json

import pytest

from Testing.cli.test_train import SMALL
from Testing.learning.small_files import a_manifest
from Testing.studies.running import run

SEGMENTS = ("--set", "segments=[[8,1]]")
LEAST = ("--clicks", "1,2", "--steps", 2, "--minimum-ml", 0.1, "--training-workers", 0, "--threads", 1,
         "--device", "cpu", "--batch", 1)  # fmt: skip


@pytest.fixture
def model(tmp_path):
    manifest = a_manifest(tmp_path)
    given = ("--manifest", manifest, "--out", tmp_path / "out", *LEAST, *SMALL, *SEGMENTS)
    return lambda *more: run("model", *given, *more)


def test_arms_that_tables_share_are_trained_once_and_what_is_finished_is_not_done_again(tmp_path, model):
    result = model("--table", "stem", "--table", "synthetic", "--seeds", 2)
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    assert {path.name for path in (out / "trainings").iterdir()} == {
        f"{name}-seed-{seed}" for name in ("plain", "no-stem", "no-synthetic") for seed in (0, 1)
    }
    text = (out / "stem.md").read_text(encoding="utf-8")
    assert "| with stem |" in text and "| without stem |" in text and "gain at 2" in text
    assert "2 steps of 1 crops, 2 seeds" in text and "Standard deviation over seeds" in text and "s a step" in text
    assert (out / "stem.png").read_bytes().startswith(b"\x89PNG")
    about = json.loads((out / "trainings" / "no-stem-seed-0" / "run.json").read_text(encoding="utf-8"))
    assert about["network"]["stem_channels"] == []
    again = model("--table", "stem", "--seeds", 2)
    assert again.exit_code == 0 and "Training" not in again.output and "Evaluating" not in again.output
    other = model("--table", "stem", "--steps", 3)
    assert other.exit_code == 1 and "made with other options" in other.output


def test_a_student_is_distilled_from_a_teacher_of_twelve_blocks_that_is_trained_first(tmp_path, model):
    # Students have half the teacher's blocks; the plain network has as many, so both have six.
    result = model("--table", "distilled", "--set", "depth=6")
    assert result.exit_code == 0, result.output
    trainings = tmp_path / "out" / "trainings"
    depths = {
        name: json.loads((trainings / f"{name}-seed-0" / "run.json").read_text(encoding="utf-8"))["network"]["depth"]
        for name in ("plain", "teacher", "distilled")
    }
    assert depths == {"plain": 6, "teacher": 12, "distilled": 6}
    assert "The teacher: " in (tmp_path / "out" / "distilled.md").read_text(encoding="utf-8")


def test_time_that_is_up_ends_the_command_and_the_same_one_goes_on(tmp_path, model):
    result = model("--table", "attention", "--minutes", 0)
    assert result.exit_code == 0 and "Time is up" in result.output
    assert not (tmp_path / "out" / "attention.md").exists()
    result = model("--table", "attention")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "attention.json").read_text(encoding="utf-8"))
    assert set(found["datasets"]["mean"]["arms"]) == {"dense", "sparse"}


def test_a_table_that_is_none_is_refused_with_the_names_of_all(model):
    result = model("--table", "some")
    assert result.exit_code == 2 and "stem, attention" in result.output
