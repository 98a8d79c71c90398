from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.learning.cases import load_cases
from MemorizingSAM3DLib.learning.folders import read_folder
from MemorizingSAM3DLib.learning.manifest import read_manifest
from MemorizingSAM3DLib.learning.manifest_making import ManifestOptions, make_manifest, write_manifest
from Testing.learning.small_cases import a_case
from Testing.learning.small_files import write_case, write_volume


def some_cases(folder, count: int = 5):
    for number in range(count):
        case = a_case(f"one/{number}", "CT" if number % 2 else "MR", seed=number)
        write_case(folder / "images" / f"{number}.nii.gz", folder / "labels" / f"{number}.nii.gz", case)
    return folder


def made(folder, target=None, options: ManifestOptions | None = None):
    return make_manifest(read_folder(folder), target or folder / "manifest.json", options or ManifestOptions())


def test_a_folder_becomes_a_manifest_whose_cases_can_be_loaded(tmp_path):
    target = tmp_path / "elsewhere" / "manifest.json"
    target.parent.mkdir()
    entries, faults = made(some_cases(tmp_path / "scans"), target, ManifestOptions(licence="CC BY 4.0", dataset="mine"))
    assert not faults
    write_manifest(target, entries)
    read = read_manifest(target)
    cases = load_cases(target, read)
    assert [case.name for case in cases] == [f"mine/{number}" for number in range(5)]
    np.testing.assert_array_equal(cases[1].labels, a_case("one/1", "CT", seed=1).labels)
    assert read[0]["image"] == "../scans/images/0.nii.gz"
    assert read[0]["licence"] == "CC BY 4.0"
    assert read[0]["labels"]["1"] == {"name": "label 1", "voxels": 448, "ml": 5.376}
    assert (read[0]["shape"], read[0]["spacing"]) == ([32, 28, 22], [2.0, 2.0, 3.0])


def test_modalities_are_guessed_unless_told(tmp_path):
    folder = some_cases(tmp_path, 2)
    assert [entry["modality"] for entry in made(folder)[0]] == ["unknown", "CT"]
    assert [entry["modality"] for entry in made(folder, options=ManifestOptions(modality="MR"))[0]] == ["MR", "MR"]


@pytest.mark.parametrize(("share", "counts"), [(0.2, 1), (0.5, 2), (0.0, 0), (0.01, 1), (1.0, 4)])
def test_a_share_is_kept_for_validation(tmp_path, share, counts):
    found = read_folder(some_cases(tmp_path))
    draws = {}
    for seed in (0, 0, 1, 2):
        entries, _ = make_manifest(found, tmp_path / "m.json", ManifestOptions(val_share=share, seed=seed))
        kept = [entry["id"] for entry in entries if entry["split"] == "val"]
        assert len(kept) == counts
        assert draws.setdefault(seed, kept) == kept
    assert counts in (0, 4) or len({tuple(kept) for kept in draws.values()}) > 1


def test_held_out_pairs_are_for_testing(tmp_path):
    case = a_case()
    for split in ("Tr", "Ts"):
        write_case(tmp_path / f"images{split}" / "a_0000.nii.gz", tmp_path / f"labels{split}" / "a.nii.gz", case)
    assert [entry["split"] for entry in made(tmp_path)[0]] == ["train", "test"]


def test_names_of_segments_that_slicer_wrote_are_taken(tmp_path):
    case = a_case()
    write_case(tmp_path / "a.nrrd", tmp_path / "a.seg.nrrd", case)
    label = sitk.ReadImage(str(tmp_path / "a.seg.nrrd"))
    for number, (value, name) in enumerate({2: "Dark one", 1: "Bright one"}.items()):
        label.SetMetaData(f"Segment{number}_Name", name)
        label.SetMetaData(f"Segment{number}_LabelValue", str(value))
    sitk.WriteImage(label, str(tmp_path / "a.seg.nrrd"))
    labels = made(tmp_path)[0][0]["labels"]
    assert {value: about["name"] for value, about in labels.items()} == {"1": "Bright one", "2": "Dark one"}
    named = made(tmp_path, options=ManifestOptions(names={2: "tumour"}))[0][0]["labels"]
    assert named["2"]["name"] == "tumour" and named["1"]["name"] == "Bright one"


def test_cases_that_cannot_be_used_are_told_each_with_its_reason(tmp_path):
    folder, case = some_cases(tmp_path, 1), a_case()
    images, labels = folder / "images", folder / "labels"
    write_case(images / "empty.nii.gz", labels / "empty.nii.gz", replace(case, labels=case.labels * 0))
    write_volume(images / "grid.nii.gz", case.image)
    write_volume(labels / "grid.nii.gz", case.labels[:-1])
    write_volume(images / "spacing.nii.gz", case.image)
    write_volume(labels / "spacing.nii.gz", case.labels, (2.0, 2.0, 2.9))
    (images / "torn.nii.gz").write_bytes(b"\x1f\x8b rubbish")
    write_volume(labels / "torn.nii.gz", case.labels)
    write_volume(images / "values.nii.gz", case.image)
    write_volume(labels / "values.nii.gz", case.labels.astype(np.float32) + 0.5)
    write_volume(images / "vector.nii.gz", case.image)
    scalar = sitk.ReadImage(str(labels / "spacing.nii.gz"))
    sitk.WriteImage(sitk.Compose(scalar, scalar), str(labels / "vector.nii.gz"))
    entries, faults = made(folder)
    assert [entry["case"] for entry in entries] == ["0"]
    reasons = (
        "no labelled voxel",
        "different grids",
        "different grids",
        "cannot be read",
        "whole numbers",
        "scalar 3D",
    )
    for fault, name, reason in zip(
        faults, ("empty", "grid", "spacing", "torn", "values", "vector"), reasons, strict=True
    ):
        assert name in str(fault) and reason in str(fault)


def test_a_manifest_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        write_manifest(tmp_path / "file" / "manifest.json", [])
