"""What people really have and type: outputs that are inputs, words, voxel numbers, DICOM, names in brackets."""

from __future__ import annotations

import re

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.models.checkpoints import save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.dicom_writing import PATIENT, PT, write_series
from Testing.engine.small_networks import SMALL_NATIVE, small_state

ARRAY = np.random.default_rng(1).integers(-900, 900, (20, 24, 28)).astype(np.int16)


@pytest.fixture(scope="module")
def a_model(tmp_path_factory):
    network = build_network(SMALL_NATIVE)
    network.load_state_dict(small_state(SMALL_NATIVE))
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_native(network, path, {"steps": 0})
    return path


def a_scan(path, matrix=None):
    nib.save(nib.Nifti1Image(ARRAY.T, np.diag([-1.0, -1.5, 2, 1]) if matrix is None else matrix), path)
    return path


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, [*map(str, arguments)])


@pytest.fixture
def segment(a_model):
    def call(scan, output, *more, point="14,12,10"):
        return run("segment", scan, "--ijk", "-p", point, "--model", a_model, "--device", "cpu", "-o", output, *more)

    return call


@pytest.mark.parametrize("output", ["scan.nii.gz", "scan.nii", "link.nii.gz"])
def test_the_scan_is_not_replaced_by_its_mask_even_with_force(tmp_path, segment, output):
    scan = a_scan(tmp_path / "scan.nii.gz")
    (tmp_path / "link.nii.gz").symlink_to(scan)
    before = scan.read_bytes()
    result = segment(scan, tmp_path / output, "--force")
    assert result.exit_code == 1 and "Give another name." in result.output
    assert scan.read_bytes() == before


def test_what_exists_is_replaced_only_with_force(tmp_path, segment):
    scan, out = a_scan(tmp_path / "scan.nii.gz"), tmp_path / "mask.nrrd"
    out.write_bytes(b"mine")
    result = segment(scan, out)
    assert result.exit_code == 1 and "exists already. Give another name, or add --force" in result.output
    assert out.read_bytes() == b"mine"
    assert segment(scan, out, "--force").exit_code == 0
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(out))).shape == ARRAY.shape


def test_a_modality_is_a_modality_in_upper_and_lower_case_and_no_other_word(tmp_path, segment):
    scan, masks = a_scan(tmp_path / "scan.nii.gz"), {}
    for word in ("CT", "ct", "Ct "):
        out = tmp_path / f"{len(masks)}.nrrd"
        assert segment(scan, out, "--modality", word).exit_code == 0
        masks[word] = sitk.GetArrayFromImage(sitk.ReadImage(str(out)))
    assert (masks["CT"] == masks["ct"]).all() and (masks["CT"] == masks["Ct "]).all()
    result = segment(scan, tmp_path / "x.nrrd", "--modality", "tomography")
    assert result.exit_code == 2 and "no modality" in result.output
    assert not (tmp_path / "x.nrrd").exists()


def test_voxel_numbers_of_a_left_handed_scan_are_asked_for_as_ras_and_the_answer_works(tmp_path, segment, a_model):
    scan = a_scan(tmp_path / "scan.nii.gz", np.diag([1.0, -1.5, 2, 1]))
    result = segment(scan, tmp_path / "m.nrrd", point="3,5,4")
    assert result.exit_code == 1 and "left-handed" in result.output
    of_file, of_slicer = re.findall(r"-?[\d.]+,-?[\d.]+,-?[\d.]+(?= in)", result.output)
    assert of_file == "3.00,-7.50,8.00" and of_slicer == "3.00,-7.50,30.00"
    done = run("segment", scan, "-p", of_file, "--model", a_model, "--device", "cpu", "-o", tmp_path / "m.nrrd")
    assert done.exit_code == 0, done.output
    mask = Volume.from_file(tmp_path / "m.nrrd")
    i, j, k = mask.nearest_voxel((3.0, -7.5, 8.0))
    assert mask.array[k, j, i] == 1


def test_what_is_in_brackets_is_printed(tmp_path, segment):
    scan = a_scan(tmp_path / "scan [red].nii.gz")
    assert "mask [bold].nrrd: " in segment(scan, tmp_path / "mask [bold].nrrd").output
    assert "scan [blue].nii.gz does not exist" in segment(tmp_path / "scan [blue].nii.gz", tmp_path / "m.nrrd").output


def test_what_the_user_should_know_of_the_scan_is_said(tmp_path, segment):
    moved = np.diag([-1.0, -1.5, 2, 1])
    image = nib.Nifti1Image(ARRAY.T, moved)
    image.set_qform(moved, 1)
    moved[:3, 3] = 10, -5, 3
    image.set_sform(moved, 2)
    nib.save(image, tmp_path / "scan.nii.gz")
    result = segment(tmp_path / "scan.nii.gz", tmp_path / "m.nii.gz", "--modality", "CT")
    assert result.exit_code == 0, result.output
    assert "up to 11.6 mm apart" in result.output and "--form qform" in result.output
    assert segment(tmp_path / "scan.nii.gz", tmp_path / "n.nii.gz", "--form", "qform").exit_code == 0
    assert segment(tmp_path / "scan.nii.gz", tmp_path / "o.nii.gz", "--form", "xform").exit_code == 2


@pytest.fixture
def a_study(tmp_path):
    frames, positions = (ARRAY + 1000).clip(0).astype(np.uint16), [(0, 0, 2.0 * n) for n in range(20)]
    number = lambda n: lambda one, _: setattr(one, "SeriesNumber", n)  # noqa: E731
    write_series(tmp_path / "study" / "1", frames, positions, intercept=-1000, change=number(1))
    write_series(tmp_path / "study" / "2", frames, positions, sop=PT, change=number(2))
    return tmp_path / "study"


def test_a_series_of_a_folder_is_chosen_and_no_patient_is_named(a_study, tmp_path, segment):
    result = segment(a_study, tmp_path / "m.nrrd")
    assert result.exit_code == 1
    assert "1: CT, 28 x 24 x 20" in result.output and "2: PT, 28 x 24 x 20" in result.output
    chosen = segment(a_study, tmp_path / "m.nrrd", "--series", 2)
    assert chosen.exit_code == 0, chosen.output
    for part in PATIENT.split("^"):
        assert part not in result.output + chosen.output


def test_a_dicom_scan_gives_a_dicom_segmentation_and_its_folder_stays_as_it_is(a_study, tmp_path, segment):
    highdicom = pytest.importorskip("highdicom")
    before = sorted(path.name for path in (a_study / "1").iterdir())
    refused = segment(a_study / "1", a_study / "1" / "0003.dcm", "--force")
    assert refused.exit_code == 1 and "lies in the input folder" in refused.output
    assert segment(a_study / "1" / "0003.dcm", a_study / "1" / "0004.dcm", "--force").exit_code == 1
    result = segment(a_study / "1", tmp_path / "liver.dcm", "--name", "liver")
    assert result.exit_code == 0, result.output
    assert highdicom.seg.segread(tmp_path / "liver.dcm").SegmentSequence[0].SegmentLabel == "liver"
    assert sorted(path.name for path in (a_study / "1").iterdir()) == before


def test_a_dicom_segmentation_of_another_scan_is_refused_before_anything_is_computed(tmp_path, segment):
    result = segment(a_scan(tmp_path / "scan.nii.gz"), tmp_path / "m.dcm")
    assert result.exit_code == 1 and "refers to DICOM images" in result.output
