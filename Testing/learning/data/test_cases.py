from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.learning.data.cases import FOREGROUND, Case, load_case, load_cases, read_unlabelled
from MemorizingSAM3DLib.learning.data.manifest import DataError, read_manifest
from Testing.learning.small_cases import a_case as a_case_for_test_unlabelled
from Testing.learning.small_files import write_case, write_volume

ENTRY = {
    "id": "phantom/a",
    "dataset": "phantom",
    "case": "a",
    "split": "train",
    "modality": "MR-T1",
    "licence": "CC BY 4.0",
    "labels": {"1": {"name": "ball"}, "7": {"name": "corner"}},
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


def test_the_named_structures_are_kept_and_the_modality_is_the_main_one(tmp_path):
    case = load_case(write(tmp_path), ENTRY)
    assert case.structures == {1: "ball", 7: "corner"}
    assert (case.name, case.dataset, case.modality) == ("phantom/a", "phantom", "MR")
    assert case.labels.dtype == np.uint8


def test_a_label_that_is_not_named_is_none_of_the_structures(tmp_path):
    entry = {**ENTRY, "labels": {"7": {"name": "corner"}}}
    assert load_case(write(tmp_path), entry).structures == {7: "corner"}


def test_files_may_lie_elsewhere_under_any_name(tmp_path):
    write(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    for name in ("image", "label"):
        (tmp_path / "phantom" / "a" / f"{name}.nii.gz").rename(tmp_path / "elsewhere" / f"my {name}.nii.gz")
    entry = {**ENTRY, "image": "elsewhere/my image.nii.gz", "label": "elsewhere/my label.nii.gz"}
    assert load_case(tmp_path, entry).structures == {1: "ball", 7: "corner"}


@pytest.mark.parametrize("name", ["image", "label"])
def test_a_missing_file_is_named(tmp_path, name):
    write(tmp_path)
    (tmp_path / "phantom" / "a" / f"{name}.nii.gz").unlink()
    with pytest.raises(DataError, match=f"phantom/a cannot be read: there is no file .*{name}.nii.gz"):
        load_case(tmp_path, ENTRY)


def test_a_damaged_file_is_named(tmp_path):
    (write(tmp_path) / "phantom" / "a" / "image.nii.gz").write_bytes(b"no image")
    with pytest.raises(DataError, match="phantom/a cannot be read"):
        load_case(tmp_path, ENTRY)


def test_a_named_label_without_voxels_is_refused(tmp_path):
    entry = {**ENTRY, "labels": {**ENTRY["labels"], "2": {"name": "absent"}}}
    with pytest.raises(DataError, match=r"no voxel of label 2 \(absent\)"):
        load_case(write(tmp_path), entry)


def test_a_vector_image_is_refused(tmp_path):
    scan = a_scan()
    with pytest.raises(DataError, match="colour or vector"):
        load_case(write(tmp_path, image=sitk.Compose(scan, scan)), ENTRY)


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


def a_case() -> Case:
    labels = np.zeros((20, 22, 24), dtype=np.uint8)
    labels[3:9, 4:8, 5:20] = 2
    labels[12, 13, 14] = 5
    image = np.where(labels > 0, 300, 10).astype(np.int16)
    image[10:18, 10:18, 10:18] = 400
    return Case("a", "one", "MR", image, labels, (1.0, 1.0, 2.0), {2: "block", 5: "voxel"})


def test_the_place_of_a_structure_is_its_box_and_some_of_its_voxels():
    target = a_case().target(2)
    assert (target.low.tolist(), target.high.tolist()) == ([3, 4, 5], [9, 8, 20])
    assert len(target.voxels) == 6 * 4 * 15
    assert (a_case().labels[tuple(target.voxels.T)] == 2).all()
    assert a_case().target(5).voxels.tolist() == [[12, 13, 14]]


def test_voxels_of_a_large_structure_are_taken_from_all_over_it():
    labels = np.ones((40, 40, 40), dtype=np.uint8)
    target = Case("a", "one", "MR", labels.astype(np.int16), labels, (1.0, 1.0, 1.0), {1: "all"}).target(1)
    assert 1000 < len(target.voxels) <= 2048
    assert (target.voxels.min(0) <= 2).all() and (target.voxels.max(0) >= 37).all()


def test_the_body_is_a_target_too():
    case = a_case()
    mask = case.mask(FOREGROUND)
    assert mask.dtype == bool and mask.shape == case.image.shape
    assert mask[10:18, 10:18, 10:18].all() and mask.sum() < 0.2 * mask.size
    place = case.target(FOREGROUND)
    np.testing.assert_array_equal(np.argwhere(mask).min(0), place.low)
    np.testing.assert_array_equal(np.argwhere(mask).max(0) + 1, place.high)
    assert mask[tuple(place.voxels.T)].all()


def test_a_mask_in_a_box_is_a_part_of_the_whole():
    case, box = a_case(), (slice(2, 15), slice(5, 17), slice(0, 24))
    for label in (2, FOREGROUND):
        np.testing.assert_array_equal(case.mask(label, box), case.mask(label)[box])


@pytest.mark.parametrize("label", [1, 200])
def test_a_label_that_is_not_there_is_told(label):
    with pytest.raises(DataError, match=f"Label {label} of case a has no voxel"):
        a_case().target(label)


def test_scans_are_read_in_ras_order_and_their_label_maps_left_out(tmp_path):
    case = a_case_for_test_unlabelled("one/a", "CT")
    write_case(tmp_path / "a" / "image.nii.gz", tmp_path / "a" / "label.nii.gz", case)
    write_volume(tmp_path / "b.nii.gz", a_case_for_test_unlabelled(seed=1).image)
    found = {read.name: read for read in read_unlabelled(tmp_path)}
    assert set(found) == {"a/image.nii.gz", "b.nii.gz"}
    read = found["a/image.nii.gz"]
    assert np.array_equal(read.image, case.image) and read.spacing == pytest.approx(case.spacing)
    assert read.modality == "CT" and not read.labels.any()


def test_however_a_scan_is_stored_it_is_the_same_scan(tmp_path):
    image = a_case_for_test_unlabelled().image
    write_volume(tmp_path / "straight.nii.gz", image)
    stored = sitk.ReadImage(str(tmp_path / "straight.nii.gz"))
    sitk.WriteImage(sitk.DICOMOrient(stored, "SPR"), str(tmp_path / "turned.nii.gz"))
    straight, turned = read_unlabelled(tmp_path)
    assert np.array_equal(turned.image, image) and np.array_equal(straight.image, image)
    assert turned.spacing == pytest.approx((2, 2, 3))


def test_the_body_is_the_one_structure(tmp_path):
    write_volume(tmp_path / "b.nii.gz", a_case_for_test_unlabelled().image)
    (read,) = read_unlabelled(tmp_path)
    assert list(read.structures) == [FOREGROUND]
    body = read.mask(FOREGROUND)
    assert body[12, 12, 10] and not body[0, 0, 0]


def test_a_folder_without_scans_is_told(tmp_path):
    write_volume(tmp_path / "label.nii.gz", a_case_for_test_unlabelled().labels)
    with pytest.raises(DataError, match="no scan"):
        read_unlabelled(tmp_path)


def test_a_scan_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "odd.nii.gz").write_bytes(b"no image at all")
    with pytest.raises(VolumeError, match=r"odd\.nii\.gz cannot be read"):
        read_unlabelled(tmp_path)
