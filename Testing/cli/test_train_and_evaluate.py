from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.models.checkpoints import load


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


def test_train_writes_a_checkpoint_that_loads(a_manifest, tmp_path):
    arguments = (
        "--manifest",
        a_manifest,
        "--steps",
        1,
        "--batch",
        1,
        "--workers",
        0,
        "--synthetic",
        1,
        "--clicks",
        1,
        "--targets",
        1,
    )

    result = run("train", *arguments, "--out", tmp_path / "run")

    assert result.exit_code == 0, result.output
    checkpoint = load(tmp_path / "run" / "model.safetensors")
    assert checkpoint.config.family == "native"
    assert checkpoint.training["steps"] == 1


def test_train_without_cases_says_so(a_manifest, tmp_path):
    result = run("train", "--manifest", a_manifest, "--steps", 1, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "no training case" in result.output
