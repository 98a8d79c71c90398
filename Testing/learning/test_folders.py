from __future__ import annotations

import json
from pathlib import Path

import pytest

from MemorizingSAM3DLib.learning.folders import beside, read_folder
from MemorizingSAM3DLib.learning.manifest import DataError


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
