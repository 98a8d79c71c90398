"""NIfTI: the file that was named, where it says that it lies, and masks that lie there for every program."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.errors import OutputError, VolumeError
from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.scans.mask_files import write_mask
from Testing.engine.scan_corpus import turned

ARRAY = np.random.default_rng(0).integers(-50, 50, (9, 10, 11)).astype(np.int16)  # (k, j, i)
AFFINE = turned(12, (0.8, 1.2, 2.5), (10, -20, 30))


def written(path, qform=None, sform=None, codes=(1, 2), array=ARRAY, units="mm"):
    image = nib.Nifti1Image(array.T, AFFINE)
    image.set_qform(AFFINE if qform is None else qform, codes[0])
    image.set_sform(AFFINE if sform is None else sform, codes[1])
    image.header.set_xyzt_units(units)
    nib.save(image, path)
    return path


@pytest.mark.parametrize("named", ["a.nii.gz", "a.nii"])
def test_the_file_that_was_named_is_read_whatever_lies_beside_it(tmp_path, named):
    for name, values in (("a.nii.gz", ARRAY), ("a.nii", ARRAY + 500)):
        written(tmp_path / name, array=values)
    wanted = ARRAY if named == "a.nii.gz" else ARRAY + 500
    assert (Volume.from_file(tmp_path / named).array == wanted).all()


def test_a_name_without_a_file_is_refused_though_the_unpacked_one_is_there(tmp_path):
    written(tmp_path / "a.nii")
    with pytest.raises(VolumeError, match=r"a\.nii\.gz does not exist"):
        Volume.from_file(tmp_path / "a.nii.gz")


def test_a_packed_file_is_known_by_its_content(tmp_path):
    written(tmp_path / "a.nii.gz")
    shutil.move(tmp_path / "a.nii.gz", tmp_path / "b.nii")
    assert (Volume.from_file(tmp_path / "b.nii").array == ARRAY).all()


moves = st.tuples(*[st.floats(-40, 40)] * 3)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(move=moves, codes=st.tuples(st.integers(0, 4), st.integers(0, 4)), packed=st.booleans(), unit=st.booleans())
def test_a_mask_has_the_scans_own_forms_whatever_they_are(tmp_path, move, codes, packed, unit):
    sform = AFFINE.copy()
    sform[:3, 3] += move
    suffix = ".nii.gz" if packed else ".nii"
    path = written(tmp_path / f"scan{suffix}", sform=sform, codes=codes, units="micron" if unit else "mm")
    volume = Volume.from_file(path)
    mask = np.zeros(ARRAY.shape, bool)
    mask[2:5, 3:6, 1:9] = True
    write_mask(mask, volume, tmp_path / f"mask{suffix}")

    scan, back = nib.load(path), nib.load(tmp_path / f"mask{suffix}")
    np.testing.assert_array_equal(back.affine, scan.affine)
    for name in ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
                 "qoffset_z", "srow_x", "srow_y", "srow_z", "xyzt_units"):  # fmt: skip
        np.testing.assert_array_equal(back.header[name], scan.header[name])
    np.testing.assert_array_equal(back.header["pixdim"][:4], scan.header["pixdim"][:4])
    assert (np.asarray(back.dataobj).T == mask).all()
    if codes == (0, 0):
        assert "does not say where the scan lies" in " ".join(volume.notes)


def test_two_forms_that_differ_are_told_and_either_can_be_taken(tmp_path):
    sform = AFFINE.copy()
    sform[:3, 3] += (10, -5, 3)
    path = written(tmp_path / "a.nii.gz", sform=sform)
    volume = Volume.from_file(path)
    np.testing.assert_allclose(volume.ijk_to_ras, sform, atol=1e-4)
    assert "up to 11.6 mm apart" in volume.notes[0] and "--form qform" in volume.notes[0]
    other = Volume.from_file(path, form="qform")
    np.testing.assert_allclose(other.ijk_to_ras, AFFINE, atol=1e-4)
    assert other.notes == ()


def test_forms_that_agree_are_not_spoken_of(tmp_path):
    assert Volume.from_file(written(tmp_path / "a.nii.gz")).notes == ()


def test_a_sheared_sform_beside_a_good_qform_is_passed_over_and_told(tmp_path):
    sheared = AFFINE.copy()
    sheared[:3, 1] += 0.3 * sheared[:3, 0]
    volume = Volume.from_file(written(tmp_path / "a.nii.gz", sform=sheared))
    np.testing.assert_allclose(volume.ijk_to_ras, AFFINE, atol=1e-4)
    assert "sheared" in volume.notes[0]


def test_the_remedy_for_a_sheared_file_works_as_printed(tmp_path, monkeypatch):
    sheared = AFFINE.copy()
    sheared[:3, 1] += 0.3 * sheared[:3, 0]
    path = written(tmp_path / "it's.nii.gz", sform=sheared, codes=(0, 2))
    with pytest.raises(VolumeError, match="sheared") as caught:
        Volume.from_file(path)
    monkeypatch.chdir(tmp_path)
    exec(caught.value.remedy.partition("in Python: ")[2])
    assert Volume.from_file(tmp_path / "regular.nii.gz").array.size > ARRAY.size / 2


@pytest.mark.parametrize("off", [1e-5, 1e-4, 5e-4, 9e-4])
def test_axes_off_square_by_rounding_are_read_and_kept(tmp_path, off):
    matrix = np.diag([-1.5, -1.5, 2, 1.0])
    matrix[0, 1] = 1.5 * off
    path = written(tmp_path / "a.nii.gz", sform=matrix, codes=(0, 1))
    volume = Volume.from_file(path)
    np.testing.assert_allclose(volume.ijk_to_ras, matrix, atol=1e-6)
    write_mask(volume.array > 0, volume, tmp_path / "m.nrrd")
    assert Volume.from_file(tmp_path / "m.nrrd").is_on_grid_of(volume)


def test_a_header_without_the_size_of_voxels_is_refused(tmp_path):
    path = written(tmp_path / "a.nii", codes=(0, 0))
    content = bytearray(path.read_bytes())
    content[80:92] = np.zeros(3, "<f4").tobytes()
    path.write_bytes(content)
    with pytest.raises(VolumeError, match="does not say the size of its voxels.*Volumes"):
        Volume.from_file(path)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_volume_of_a_4d_file_is_chosen(tmp_path, number):
    four = np.stack([ARRAY, ARRAY + 100, ARRAY + 200])
    path = written(tmp_path / "a.nii.gz", array=four)
    with pytest.raises(VolumeError, match="4D, with 3 time points.*--volume 1 to --volume 3"):
        Volume.from_file(path)
    volume = Volume.from_file(path, volume=number)
    assert (volume.array == four[number - 1]).all()
    write_mask(volume.array > 0, volume, tmp_path / "m.nii.gz")
    assert nib.load(tmp_path / "m.nii.gz").shape == ARRAY.T.shape


def test_colours_are_refused(tmp_path):
    colours = np.zeros((11, 10, 9), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, AFFINE), tmp_path / "a.nii.gz")
    with pytest.raises(VolumeError, match="colour or vector.*Vector to Scalar"):
        Volume.from_file(tmp_path / "a.nii.gz")


def test_a_mask_is_not_written_over_its_scan_nor_where_it_would_be_taken_for_it(tmp_path):
    volume = Volume.from_file(written(tmp_path / "a.nii.gz"))
    for name in ("a.nii.gz", "a.nii"):
        with pytest.raises(OutputError, match="is the input|would be read in its place"):
            write_mask(volume.array > 0, volume, tmp_path / name)
    assert (Volume.from_file(tmp_path / "a.nii.gz").array == ARRAY).all()
