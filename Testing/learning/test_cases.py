from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.learning.cases import DataError, load_case, load_cases, read_manifest, select

ENTRY = {
    "id": "phantom/a",
    "dataset": "phantom",
    "case": "a",
    "split": "train",
    "modality": "MR-T1",
    "licence": "CC BY 4.0",
    "labels": {"1": {"name": "ball"}, "2": {"name": "absent"}, "7": {"name": "corner"}},
}


def a_scan() -> sitk.Image:
    """8 x 7 x 6 voxels of 1 x 2 x 3 mm, LPS, whose voxels hold their own flat index."""
    image = sitk.GetImageFromArray(np.arange(8 * 7 * 6, dtype=np.int16).reshape(6, 7, 8))
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((-10.0, 5.0, 20.0))
    return image


def a_label_map() -> sitk.Image:
    labels = np.zeros((6, 7, 8), dtype=np.uint8)
    labels[2:4, 3:5, 2:6] = 1
    labels[5, 6, 7] = 7
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(a_scan())
    return image


def write(folder, image: sitk.Image | None = None, labels: sitk.Image | None = None):
    place = folder / "phantom" / "a"
    place.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image or a_scan(), str(place / "image.nii.gz"))
    sitk.WriteImage(labels or a_label_map(), str(place / "label.nii.gz"))
    return folder


def test_arrays_of_a_case_increase_to_the_right_to_the_front_and_upwards(tmp_path):
    case = load_case(write(tmp_path), ENTRY)
    scan = a_scan()
    assert case.image.shape == (8, 7, 6)
    assert case.spacing == pytest.approx((1.0, 2.0, 3.0))
    for i, j, k in [(0, 0, 0), (7, 0, 0), (0, 6, 0), (0, 0, 5), (3, 4, 2)]:
        # ITK's x and y run to the left and to the back: the largest index is the array's first.
        assert case.image[7 - i, 6 - j, k] == scan[i, j, k]
    assert case.labels[0, 0, 5] == 7


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "ASR", "SRP", "IAL", "PIR"])
def test_a_case_is_the_same_however_its_file_is_oriented(tmp_path, orientation):
    expected = load_case(write(tmp_path / "straight"), ENTRY)
    turned = write(
        tmp_path / "turned", sitk.DICOMOrient(a_scan(), orientation), sitk.DICOMOrient(a_label_map(), orientation)
    )
    found = load_case(turned, ENTRY)
    assert found.spacing == pytest.approx(expected.spacing)
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_only_structures_with_voxels_are_kept_and_the_modality_is_the_main_one(tmp_path):
    case = load_case(write(tmp_path), ENTRY)
    assert case.structures == {1: "ball", 7: "corner"}
    assert (case.name, case.dataset, case.modality) == ("phantom/a", "phantom", "MR")
    assert case.labels.dtype == np.uint8


def test_a_missing_file_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "phantom" / "a" / "label.nii.gz").unlink()
    with pytest.raises(DataError, match="phantom/a cannot be read"):
        load_case(tmp_path, ENTRY)


def test_label_maps_on_another_grid_are_refused(tmp_path):
    for change in ("size", "origin", "spacing", "direction"):
        labels = a_label_map()
        if change == "size":
            labels = labels[:, :, :-1]
        elif change == "origin":
            labels.SetOrigin((-10.0, 5.0, 23.0))
        elif change == "spacing":
            labels.SetSpacing((1.0, 2.0, 3.1))
        else:
            labels.SetDirection((1, 0, 0, 0, 0.995, -0.0998, 0, 0.0998, 0.995))
        with pytest.raises(DataError, match="different grids"):
            load_case(write(tmp_path, labels=labels), ENTRY)


def test_labels_that_do_not_fit_a_byte_are_refused_instead_of_wrapped(tmp_path):
    labels = sitk.Cast(a_label_map(), sitk.sitkInt16) + 256  # modulo 256 they would be right again
    with pytest.raises(DataError, match="0 to 255"):
        load_case(write(tmp_path, labels=labels), ENTRY)


def test_a_case_without_a_labelled_voxel_is_refused(tmp_path):
    with pytest.raises(DataError, match="no labelled voxel"):
        load_case(write(tmp_path, labels=a_label_map() * 0), ENTRY)


def test_cases_are_loaded_beside_their_manifest_with_progress(tmp_path):
    manifest = write(tmp_path) / "manifest.json"
    manifest.write_text(json.dumps([ENTRY]), encoding="utf-8")
    seen = []
    cases = load_cases(manifest, read_manifest(manifest), lambda done, total: seen.append((done, total)))
    assert [case.name for case in cases] == ["phantom/a"]
    assert seen == [(1, 1)]


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
