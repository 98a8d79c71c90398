"""Every file is read as its standard says; other readers say the same, or docs/input.md says why they do not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from MemorizingSAM3DLib.engine.geometry import Volume
from Testing.engine.scan_corpus import Sample, samples

CORPUS = list(samples())
PAGE = Path(__file__).parents[2] / "docs" / "input.md"
Voxels = tuple[np.ndarray, np.ndarray]


def by_nibabel(path: Path) -> Voxels | None:
    if path.is_dir() or not path.name.endswith((".nii", ".nii.gz", ".img", ".mgz", ".mgh")):
        return None
    image = nib.load(path)
    return np.asarray(image.dataobj).T, image.affine


def by_simpleitk(path: Path) -> Voxels | None:
    if path.suffix == ".dcm" and path.name != "enhanced.dcm":
        path = path.parent
    if path.is_dir():
        ids = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(path))
        image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path), ids[0]))
    else:
        image = sitk.ReadImage(str(path))
    return sitk.GetArrayFromImage(image), Volume.from_sitk(image).ijk_to_ras


def same(found: Voxels, ours: Volume) -> bool:
    """Whether each voxel is at the same place (mm) with the same value, whatever the order of the axes."""
    array, matrix = found
    if sorted(array.shape) != sorted(ours.shape):
        return False
    ends = np.array([(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (2, 3, 1), (5, 4, 3), (-1, -1, -1)])
    ends = np.where(ends < 0, np.array(array.shape) - 1, ends)
    places = ends[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
    there = ours.ras_to_ijk(places)
    if np.abs(there - np.round(there)).max() > 1e-3 or there.min() < -0.5:
        return False
    k, j, i = np.round(there).astype(int).T[::-1]
    if (np.array([k, j, i]).max(axis=1) >= ours.shape).any():
        return False
    told = ours.array[k, j, i], array[tuple(ends.T)]
    return bool(np.allclose(*told, rtol=1e-5, atol=1e-4)) and np.isclose(float(array.sum()), float(ours.array.sum()))


def test_the_corpus_is_large_and_its_files_are_of_many_kinds():
    assert len(CORPUS) >= 60
    assert len({sample.name for sample in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("sample", CORPUS, ids=lambda sample: sample.name)
def test_a_file_is_read_as_its_standard_says_and_as_others_read_it(sample: Sample, tmp_path):
    path = sample.write(tmp_path)
    ours = Volume.from_file(path)

    assert ours.shape == sample.array.shape
    np.testing.assert_allclose(ours.array, sample.array, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(ours.ijk_to_ras, sample.matrix, atol=1e-4)
    readers: dict[str, Callable[[Path], Voxels | None]] = {"nibabel": by_nibabel, "SimpleITK": by_simpleitk}
    for name, read in readers.items():
        try:
            found = read(path)
            agrees = found is None or same(found, ours)
        except (RuntimeError, IndexError):
            agrees = False
        assert agrees == (name not in sample.differs), f"{name} {'agrees' if agrees else 'differs'}"
    words = " ".join(PAGE.read_text(encoding="utf-8").split())
    for reason in sample.differs.values():
        assert reason in words, f"docs/input.md does not say: {reason}"


@pytest.mark.parametrize("sample", [s for s in CORPUS if re.match("DICOM(?! enhanced)", s.name)], ids=lambda s: s.name)
def test_pydicom_finds_the_same_pixels_at_the_same_places(sample: Sample, tmp_path):
    path = sample.write(tmp_path)
    ours = Volume.from_file(path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == ours.shape[0]
    for file in files:
        one = pydicom.dcmread(file)
        r, a, s = np.array(one.ImagePositionPatient, float) * (-1, -1, 1)
        i, j, k = ours.ras_to_ijk((r, a, s))
        assert abs(i) < 1e-3 and abs(j) < 1e-3 and abs(k - round(k)) < 1e-3
        pixels = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
        np.testing.assert_allclose(ours.array[round(k)], pixels, rtol=1e-5, atol=1e-4)
