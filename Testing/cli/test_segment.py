from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.models.checkpoints import save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.phantoms import ball, ct_of, dice
from Testing.engine.small_networks import SMALL_NATIVE, small_state


@pytest.fixture
def a_model(tmp_path):
    network = build_network(SMALL_NATIVE)
    network.load_state_dict(small_state(SMALL_NATIVE))
    save_native(network, tmp_path / "small.safetensors", {"steps": 0})
    return tmp_path / "small.safetensors"


@pytest.fixture
def a_scan(tmp_path):
    image = sitk.GetImageFromArray(np.random.default_rng(1).integers(0, 900, (20, 24, 28)).astype(np.int16))
    image.SetSpacing((1.0, 1.5, 2.0))
    image.SetOrigin((5.0, -7.0, 11.0))
    sitk.WriteImage(image, str(tmp_path / "scan.nii.gz"))
    return tmp_path / "scan.nii.gz"


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [*map(str, arguments)])


def ras_of(scan, i, j, k):
    x, y, z = sitk.ReadImage(str(scan)).TransformIndexToPhysicalPoint((i, j, k))
    return f"{-x},{-y},{z}"


def test_a_point_becomes_a_segmentation_on_the_scans_grid(a_scan, a_model, tmp_path):
    out = tmp_path / "seg.nrrd"

    result = run("segment", a_scan, "--point", ras_of(a_scan, 14, 12, 10), "--model", a_model, "--output", out)

    assert result.exit_code == 0, result.output
    mask, scan = sitk.ReadImage(str(out)), sitk.ReadImage(str(a_scan))
    assert mask.GetSize() == scan.GetSize()
    assert np.allclose(mask.GetOrigin(), scan.GetOrigin(), atol=1e-4)
    assert mask[14, 12, 10] == 1  # a click is never ignored


def test_voxel_numbers_and_millimetres_mean_the_same_point(a_scan, a_model, tmp_path):
    run("segment", a_scan, "-p", ras_of(a_scan, 14, 12, 10), "--model", a_model, "-o", tmp_path / "mm.nii.gz")
    run("segment", a_scan, "-p", "14,12,10", "--ijk", "--model", a_model, "-o", tmp_path / "ijk.nii.gz")

    mm, ijk = (sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name))) for name in ("mm.nii.gz", "ijk.nii.gz"))
    assert (mm == ijk).all()


def test_a_negative_point_is_outside_of_the_segment(a_scan, a_model, tmp_path):
    points = ("-p", "14,12,10", "-p", "20,18,15,-")

    result = run("segment", a_scan, *points, "--ijk", "--model", a_model, "-o", tmp_path / "a.mha")

    assert result.exit_code == 0, result.output
    assert sitk.ReadImage(str(tmp_path / "a.mha"))[20, 18, 15] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-p", "999,0,0", "-o", "a.nrrd"), "outside the scan"),
        (("-p", "0,0,0", "-o", "a.png"), "suffixes"),
        (("-p", "0,0,0", "-o", "missing/a.nrrd"), "does not exist"),
        (("-p", "14,12,10", "--ijk", "-o", "a.nrrd", "--device", "cuda"), "CUDA"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_with_exit_code_1(
    a_scan, a_model, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    result = run("segment", a_scan, "--model", a_model, *arguments)

    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_missing_scan_and_a_wrong_checkpoint_are_said_too(a_scan, a_model, tmp_path):
    missing = run("segment", tmp_path / "none.nii.gz", "-p", "0,0,0", "--model", a_model, "-o", tmp_path / "a.nrrd")
    (tmp_path / "text.safetensors").write_text("not weights")
    wrong = run("segment", a_scan, "-p", "14,12,10", "--ijk", "--model", tmp_path / "text.safetensors",
                "-o", tmp_path / "a.nrrd")  # fmt: skip

    assert missing.exit_code == wrong.exit_code == 1
    assert "does not exist" in missing.output
    assert not (tmp_path / "a.nrrd").exists()


def test_a_malformed_point_is_wrong_usage(a_scan, a_model, tmp_path):
    result = run("segment", a_scan, "-p", "1,2", "--model", a_model, "-o", tmp_path / "a.nrrd")
    assert result.exit_code == 2
    assert "is not a point" in result.output


def test_without_a_point_or_a_memory_to_propose_from_it_is_wrong_usage(a_scan, a_model, tmp_path):
    result = run("segment", a_scan, "--model", a_model, "-o", tmp_path / "a.mha")
    assert result.exit_code == 2 and "Give at least one" in result.output
    result = run("segment", a_scan, "--propose", "liver", "--model", a_model, "-o", tmp_path / "a.mha")
    assert result.exit_code == 2 and "--propose needs it" in result.output


def a_scan_with_a_ball(path, shift=0):
    volume, truth = ct_of(ball(12, (shift, 0, 0)), (40, 36, 32), 2.0)
    for array, name in ((volume.array, "scan.nii.gz"), (truth.astype(np.uint8), "mask.nii.gz")):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((2.0, 2.0, 2.0))
        path.mkdir(exist_ok=True)
        sitk.WriteImage(image, str(path / name))
    return path / "scan.nii.gz", path / "mask.nii.gz"


def test_what_was_remembered_is_proposed_without_a_point(tmp_path):
    memory, out = tmp_path / "memory", tmp_path / "a.nii.gz"
    scan, mask = a_scan_with_a_ball(tmp_path / "first")
    added = run("memory", "add", memory, "--scan", scan, "--mask", mask, "--structure", "ball", "--device", "cpu")
    assert added.exit_code == 0, added.output
    scan, mask = a_scan_with_a_ball(tmp_path / "second", shift=6)
    result = run("segment", scan, "--case-memory", memory, "--propose", "Ball", "--device", "cpu", "-o", out)
    assert result.exit_code == 0, result.output
    assert "'ball' was recognised at" in result.output and "1 points" in result.output
    found, truth = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) > 0 for path in (out, mask))
    assert dice(found, truth) > 0.6
    result = run(
        "segment", scan, "--case-memory", memory, "--propose", "liver", "--device", "cpu", "-o", out, "--force"
    )
    assert result.exit_code == 1 and "No remembered case is called 'liver'" in result.output
