from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.learning.cases import FOREGROUND
from MemorizingSAM3DLib.learning.manifest import DataError
from MemorizingSAM3DLib.learning.unlabelled import read_unlabelled
from Testing.learning.small_cases import a_case
from Testing.learning.small_files import write_case, write_volume


def test_scans_are_read_in_ras_order_and_their_label_maps_left_out(tmp_path):
    case = a_case("one/a", "CT")
    write_case(tmp_path / "a" / "image.nii.gz", tmp_path / "a" / "label.nii.gz", case)
    write_volume(tmp_path / "b.nii.gz", a_case(seed=1).image)
    found = {read.name: read for read in read_unlabelled(tmp_path)}
    assert set(found) == {"a/image.nii.gz", "b.nii.gz"}
    read = found["a/image.nii.gz"]
    assert np.array_equal(read.image, case.image) and read.spacing == pytest.approx(case.spacing)
    assert read.modality == "CT" and not read.labels.any()


def test_however_a_scan_is_stored_it_is_the_same_scan(tmp_path):
    image = a_case().image
    write_volume(tmp_path / "straight.nii.gz", image)
    stored = sitk.ReadImage(str(tmp_path / "straight.nii.gz"))
    sitk.WriteImage(sitk.DICOMOrient(stored, "SPR"), str(tmp_path / "turned.nii.gz"))
    straight, turned = read_unlabelled(tmp_path)
    assert np.array_equal(turned.image, image) and np.array_equal(straight.image, image)
    assert turned.spacing == pytest.approx((2, 2, 3))


def test_the_body_is_the_one_structure(tmp_path):
    write_volume(tmp_path / "b.nii.gz", a_case().image)
    (read,) = read_unlabelled(tmp_path)
    assert list(read.structures) == [FOREGROUND]
    body = read.mask(FOREGROUND)
    assert body[12, 12, 10] and not body[0, 0, 0]


def test_a_folder_without_scans_is_told(tmp_path):
    write_volume(tmp_path / "label.nii.gz", a_case().labels)
    with pytest.raises(DataError, match="no scan"):
        read_unlabelled(tmp_path)


def test_a_scan_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "odd.nii.gz").write_bytes(b"no image at all")
    with pytest.raises(VolumeError, match=r"odd\.nii\.gz cannot be read"):
        read_unlabelled(tmp_path)
