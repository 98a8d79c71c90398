from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.learning.data.cases import load_cases
from MemorizingSAM3DLib.learning.data.make_manifest import (
    ManifestOptions,
    beside,
    make_manifest,
    read_folder,
    write_manifest,
)
from MemorizingSAM3DLib.learning.data.manifest import DataError, read_manifest
from Testing.learning.small_cases import a_case
from Testing.learning.small_files import write_case, write_volume


def a_folder(place: Path, *files: str, about: object = None) -> Path:
    for name in files:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"")
    if about is not None:
        (place / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    return place


def pairs(folder: Path, channel: int = 0) -> list[tuple[str, str, str]]:
    found = read_folder(folder, channel)
    return [(p.case, beside(p.image, folder), beside(p.label, folder)) for p in found.pairs]


def test_nnunet_version_2(tmp_path):
    files = [f"imagesTr/spleen_{n}_000{c}.nii.gz" for n in (1, 2) for c in (0, 1)]
    about = {
        "channel_names": {"0": "CT", "1": "noNorm"},
        "labels": {"background": 0, "spleen": 1, "lesion": 2, "both": [1, 2], "ignore": 3},
        "file_ending": ".nii.gz",
    }
    folder = a_folder(tmp_path / "Dataset009", *files, *[f"labelsTr/spleen_{n}.nii.gz" for n in (1, 2)], about=about)
    assert pairs(folder) == [
        (f"spleen_{n}", f"imagesTr/spleen_{n}_0000.nii.gz", f"labelsTr/spleen_{n}.nii.gz") for n in (1, 2)
    ]
    assert pairs(folder, channel=1)[0][1] == "imagesTr/spleen_1_0001.nii.gz"
    found = read_folder(folder)
    assert (found.name, found.modality, found.names) == ("Dataset009", "CT", {1: "spleen", 2: "lesion"})
    assert found.left_out == []


def test_nnunet_version_1_and_the_decathlon(tmp_path):
    about = {"name": "Hippocampus", "modality": {"0": "MRI"}, "labels": {"0": "background", "1": "Anterior"}}
    files = ["imagesTr/hippocampus_001.nii.gz", "labelsTr/hippocampus_001.nii.gz", "imagesTs/hippocampus_002.nii.gz"]
    found = read_folder(a_folder(tmp_path, *files, about=about))
    assert [pair.case for pair in found.pairs] == ["hippocampus_001"]
    assert (found.name, found.modality, found.names) == ("Hippocampus", "MR", {1: "Anterior"})
    assert [path.name for path in found.left_out] == ["hippocampus_002.nii.gz"]


def test_labelled_test_folders_of_nnunet_are_held_out(tmp_path):
    files = [
        f"{kind}{split}/a{end}.nii.gz" for split in ("Tr", "Ts") for kind, end in (("images", "_0000"), ("labels", ""))
    ]
    found = read_folder(a_folder(tmp_path, *files))
    assert [(pair.case, pair.held_out) for pair in found.pairs] == [("a", False), ("Ts_a", True)]


def test_a_name_that_ends_in_four_digits_is_no_channel_when_the_label_map_has_them_too(tmp_path):
    folder = a_folder(tmp_path, "images/case_0001.nrrd", "images/case_0002.nrrd", "labels/case_0002.nrrd")
    assert pairs(folder) == [("case_0002", "images/case_0002.nrrd", "labels/case_0002.nrrd")]


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a.nii.gz", "a_label.nii.gz"),
        ("a.nrrd", "a.seg.nrrd"),
        ("a.nrrd", "a-label.nrrd"),
        ("a_image.mha", "a_mask.mha"),
        ("a.nii", "a_Segmentation.nii.gz"),
        ("scans/a.nrrd", "masks/a.nrrd"),
        ("Images/a_image.nrrd", "Labels/a_label.nrrd"),
    ],
)
def test_pairs_are_found_by_their_names(tmp_path, image, label):
    assert pairs(a_folder(tmp_path, image, label, "readme.txt", ".hidden.nrrd")) == [("a", image, label)]


def test_a_folder_a_case(tmp_path):
    files = [f"patient {n}/{name}.nii.gz" for n in (1, 2) for name in ("image", "label")]
    assert [case for case, _, _ in pairs(a_folder(tmp_path, *files))] == ["patient 1", "patient 2"]


def test_the_only_image_and_label_map_of_a_folder_belong_together_whatever_their_names(tmp_path):
    folder = a_folder(tmp_path, "x/CT Chest.nrrd", "x/Segmentation.seg.nrrd", "y/1.nrrd", "y/2.nrrd", "y/3.seg.nrrd")
    assert pairs(folder) == [("x_CT Chest", "x/CT Chest.nrrd", "x/Segmentation.seg.nrrd")]


def test_two_files_for_one_case_are_told(tmp_path):
    with pytest.raises(DataError, match=r"named as one case"):
        read_folder(a_folder(tmp_path, "a.nii.gz", "a.nrrd", "a_label.nrrd"))


def test_a_folder_without_pairs_is_told_how_to_name_them(tmp_path):
    with pytest.raises(DataError, match="named like it.*images/ and labels/"):
        read_folder(a_folder(tmp_path, "a.nii.gz", "b.nii.gz"))
    with pytest.raises(DataError, match="There is no folder"):
        read_folder(tmp_path / "missing")


def test_a_damaged_dataset_json_is_told(tmp_path):
    folder = a_folder(tmp_path, "a.nii.gz", "a_label.nii.gz")
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DataError, match="dataset.json cannot be read"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("told", "modality"),
    [("CT", "CT"), ("MRI", "MR"), ("T2", "MR"), ("FLAIR", "MR"), ("PET", "PET"), ("PT", "PET"), ("noNorm", None)],
)
def test_modalities_are_read_off_the_channel_names(tmp_path, told, modality):
    folder = a_folder(tmp_path, "images/a_0000.nii.gz", "labels/a.nii.gz", about={"channel_names": {"0": told}})
    assert read_folder(folder).modality == modality


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
