from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.checkpoints import load
from Testing.cli.test_segment import a_model  # noqa: F401


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [*map(str, arguments)])


@pytest.fixture
def a_manifest(tmp_path):
    """One validation case: a block of 4 ml in noise."""
    folder = tmp_path / "made" / "one"
    folder.mkdir(parents=True)
    voxels = np.random.default_rng(0).integers(0, 100, (24, 24, 24)).astype(np.int16)
    labels = np.zeros(voxels.shape, np.uint8)
    labels[6:14, 8:16, 7:15] = 1
    voxels[labels > 0] += 500
    for name, array in (("image", voxels), ("label", labels)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((2.0, 2.0, 2.0))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    entry = {"id": "made/one", "dataset": "made", "case": "one", "split": "val", "modality": "MR", "licence": "MIT",
             "labels": {"1": {"name": "block"}}}  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps([entry]))
    return tmp_path / "manifest.json"


def test_evaluate_writes_dice_after_each_click(a_manifest, a_model, tmp_path):  # noqa: F811
    result = run("evaluate", "--manifest", a_manifest, "--clicks", 3, "--model", a_model, "--out", tmp_path / "out")

    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert set(results["mean"]["dice"]) == {"1", "3"}
    assert results["datasets"]["made"]["labels"] == 1
    assert len((tmp_path / "out" / "cases.csv").read_text().splitlines()) == 2


def test_evaluate_without_a_matching_case_says_so(a_manifest, a_model, tmp_path):  # noqa: F811
    arguments = ("--manifest", a_manifest, "--split", "train", "--model", a_model, "--out", tmp_path)
    result = run("evaluate", *arguments)
    assert result.exit_code == 1
    assert "--split" in result.output


def test_train_writes_a_checkpoint_that_loads(a_manifest, tmp_path):
    arguments = ("--manifest", a_manifest, "--steps", 1, "--batch", 1, "--workers", 0, "--synthetic", 1)

    result = run("train", *arguments, "--out", tmp_path / "run")

    assert result.exit_code == 0, result.output
    checkpoint = load(tmp_path / "run" / "model.safetensors")
    assert checkpoint.config.family == "native"
    assert checkpoint.training["steps"] == 1


def test_train_without_cases_says_so(a_manifest, tmp_path):
    result = run("train", "--manifest", a_manifest, "--steps", 1, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "no training case" in result.output
