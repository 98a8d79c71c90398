from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from Testing.cli.test_segment import a_model, a_scan, ras_of  # noqa: F401


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["demo", *map(str, arguments)])


def test_a_users_own_scan_and_points_give_all_four_files(a_scene, a_scan, a_model, tmp_path):  # noqa: F811
    pytest.importorskip("trame_slicer", reason="needs trame-slicer: pip install memorizing-sam3d[scene]")
    out = tmp_path / "out"

    result = run("--scan", a_scan, "--point", ras_of(a_scan, 14, 12, 10), "--model", a_model, "-o", out)

    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [
        "report.json", "scene.mrb", "segmentation.seg.nrrd", "views.png",
    ]  # fmt: skip
    assert len(json.loads((out / "report.json").read_text())["clicks"]) == 1


@pytest.mark.parametrize("arguments", [("--scan", "a.nii.gz"), ("--point", "1,2,3")])
def test_a_scan_needs_a_point_and_a_point_a_scan(arguments):
    assert run(*arguments).exit_code == 2


def test_an_output_that_cannot_be_a_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = run("-o", tmp_path / "file")
    assert result.exit_code == 2
    assert "is a file" in result.output


def test_the_demonstrations_own_scan_is_a_brain_with_its_mask(tmp_path):
    from MemorizingSAM3DLib.engine.geometry import Volume
    from MemorizingSAM3DLib.scene.headless.demonstration import writeDemoScan

    path, mask = writeDemoScan(tmp_path)

    volume = Volume.from_file(path)
    assert volume.shape == mask.shape
    litres = mask.sum() * volume.voxel_mm3 / 1e6
    assert 1.2 < litres < 2.2
    assert volume.array[mask].mean() > 10 * abs(volume.array[~mask].mean())
