from __future__ import annotations

import json
from pathlib import Path

import pytest

from MemorizingSAM3DLib.learning.data.manifest import (
    DataError,
    image_and_label,
    read_manifest,
    select,
    some_of_each_dataset,
)

ENTRY = {
    "id": "phantom/a",
    "dataset": "phantom",
    "case": "a",
    "split": "train",
    "modality": "MR-T1",
    "licence": "CC BY 4.0",
    "labels": {"1": {"name": "ball", "voxels": 12, "ml": 0.5}},
}


def refused(tmp_path, *entries: object) -> str:
    (tmp_path / "manifest.json").write_text(json.dumps(entries), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_manifest(tmp_path / "manifest.json")
    return str(caught.value)


def test_a_manifest_is_read_with_all_its_fields(tmp_path):
    entry = {**ENTRY, "shape": [3, 4, 5], "spacing": [1, 1, 2.5], "bytes": 99, "image": "a.nrrd", "label": "b.nrrd"}
    entry["nominal_spacing"] = True
    (tmp_path / "manifest.json").write_text(json.dumps([ENTRY, {**entry, "id": "b"}]), encoding="utf-8")
    assert read_manifest(tmp_path / "manifest.json") == [ENTRY, {**entry, "id": "b"}]


def test_an_unknown_field_is_named_with_what_may_have_been_meant(tmp_path):
    message = refused(tmp_path, {**ENTRY, "lable": "x.nrrd"})
    assert "phantom/a" in message and "unknown field lable" in message and "Did you mean label" in message
    assert "Known fields" in refused(tmp_path, {**ENTRY, "xyzzy": 1})
    assert "Label 1 of" in refused(tmp_path, {**ENTRY, "labels": {"1": {"name": "ball", "colour": "red"}}})


def test_a_missing_field_is_named(tmp_path):
    message = refused(tmp_path, {key: value for key, value in ENTRY.items() if key not in ("split", "labels")})
    assert "has no split, labels" in message


@pytest.mark.parametrize("value", ["0", "256", "liver", "1.5", "-1"])
def test_label_values_are_whole_numbers_of_1_to_255(tmp_path, value):
    assert "1 to 255" in refused(tmp_path, {**ENTRY, "labels": {value: {"name": "ball"}}})


def test_labels_have_names(tmp_path):
    assert "has no name" in refused(tmp_path, {**ENTRY, "labels": {"1": {"voxels": 4}}})
    assert "has no name" in refused(tmp_path, {**ENTRY, "labels": {"1": "ball"}})
    assert "names no labels" in refused(tmp_path, {**ENTRY, "labels": {}})


def test_texts_are_texts(tmp_path):
    assert "modality = 3" in refused(tmp_path, {**ENTRY, "modality": 3})
    assert "image = None" in refused(tmp_path, {**ENTRY, "image": None})


def test_two_cases_of_one_id_are_refused(tmp_path):
    assert "phantom/a twice" in refused(tmp_path, ENTRY, ENTRY)


def test_files_are_beside_the_manifest_unless_it_says_where(tmp_path):
    usual = tmp_path / "phantom" / "a"
    assert image_and_label(tmp_path, ENTRY) == (usual / "image.nii.gz", usual / "label.nii.gz")
    elsewhere = {**ENTRY, "image": "x/i.nrrd", "label": str(Path("/y/l.nrrd"))}
    assert image_and_label(tmp_path, elsewhere) == (tmp_path / "x" / "i.nrrd", tmp_path / Path("/y/l.nrrd"))


@pytest.mark.parametrize("content", ["", "{}", '[{"id": 1}]', "[3]"])
def test_what_is_no_manifest_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="manifest"):
        read_manifest(tmp_path / "manifest.json")


def test_a_missing_manifest_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize(
    ("licence", "permissive"),
    [
        ("CC BY 4.0", True),
        ("CC BY-SA 4.0 (Medical Segmentation Decathlon)", True),
        ("MIT (repo ababier/open-kbp, code+data)", True),
        ("CC BY 4.0 (NCI, Synchrony study)", True),
        ("CC BY-NC-SA 4.0 (ACDC)", False),
        ("CC BY-NC (MICCAI 2012)", False),
        ("cc-by-nc-nd-4.0", False),
        ("CC BY NC 4.0", False),
        ("Free for non-commercial use", False),
        ("NonCommercial research", False),
    ],
)
def test_non_commercial_data_never_train_what_is_shipped(licence, permissive):
    entry = {**ENTRY, "licence": licence}
    assert select([entry], "train") == ([entry] if permissive else [])
    assert select([entry], "train", permissive_only=False) == [entry]


def test_cases_are_selected_by_split_and_dataset():
    entries = [{**ENTRY, "split": s, "dataset": d} for s in ("train", "val") for d in ("one", "two")]
    assert select(entries, "val") == entries[2:]
    assert select(entries, "train", ["two"]) == [entries[1]]
    assert select(entries, "train", []) == []


def test_some_cases_of_each_dataset_are_drawn_and_smaller_draws_are_parts_of_larger_ones():
    entries = [{"id": f"{name}/{n}", "dataset": name} for name, count in (("a", 20), ("b", 4)) for n in range(count)]

    def drawn(amount: str | None, seed: int = 0) -> set[str]:
        return {entry["id"] for entry in some_of_each_dataset(entries, amount, seed)}

    counts = [sum(name.startswith("a/") for name in drawn(amount)) for amount in ("1", "10%", "50%", "100%", "30")]
    assert counts == [1, 2, 10, 20, 20]
    assert sum(name.startswith("b/") for name in drawn("10%")) == 1  # never none
    assert drawn("1") < drawn("10%") < drawn("50%") < drawn("100%") == drawn(None)
    assert drawn("50%") == drawn("50%") != drawn("50%", seed=1)
    for wrong in ("0", "-1", "101%", "0%", "1.5", "nan%", "all"):
        with pytest.raises(DataError, match="no amount of cases"):
            drawn(wrong)
