from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from MemorizingSAM3DLib.engine.geometry import CropGrid, Volume
from MemorizingSAM3DLib.learning.data.manifest import DataError
from MemorizingSAM3DLib.learning.synthetic.scenes import (
    LabelScene,
    anatomical_scene,
    labels_on,
    made_scene,
    read_label_scenes,
)
from Testing.engine.phantoms import OBLIQUE
from Testing.learning.small_cases import a_case
from Testing.learning.small_files import write_volume

SIZE = 32
LABELS = a_case().labels


def a_scene(labels: np.ndarray = LABELS, spacing: tuple[float, float, float] = (2.0, 2.0, 3.0)) -> LabelScene:
    return LabelScene(Volume(np.ascontiguousarray(labels.transpose(2, 1, 0)), np.diag([*spacing, 1.0])))


def write_label_map(path: Path, labels: np.ndarray = LABELS, directions: np.ndarray | None = None) -> None:
    image = sitk.GetImageFromArray(np.ascontiguousarray(labels.transpose(2, 1, 0)))
    image.SetSpacing((2.0, 2.0, 3.0))
    if directions is not None:
        image.SetDirection(directions.ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


# What is read


def test_all_label_maps_below_a_folder_are_read(tmp_path):
    write_volume(tmp_path / "a" / "label.nii.gz", LABELS)
    write_volume(tmp_path / "b.nii.gz", np.where(LABELS == 2, np.uint8(127), LABELS))
    scenes = read_label_scenes(tmp_path)
    assert [np.unique(scene.volume.array).tolist() for scene in scenes] == [[0, 1, 2], [0, 1, 127]]


def test_a_folder_without_label_maps_is_told(tmp_path):
    (tmp_path / "note.txt").write_text("nothing here")
    with pytest.raises(DataError, match="no label map"):
        read_label_scenes(tmp_path)


@pytest.mark.parametrize(
    "labels",
    [LABELS.astype(np.int16) * 64, LABELS.astype(np.int16) - 1, LABELS.astype(np.float32) * 0.5],
    ids=["128", "negative", "a half"],
)
def test_labels_that_are_none_are_refused_and_the_file_named(tmp_path, labels):
    write_label_map(tmp_path / "good.nii.gz")
    write_label_map(tmp_path / "odd.nii.gz", labels)
    with pytest.raises(DataError, match=r"odd\.nii\.gz holds labels outside 0 to 127"):
        read_label_scenes(tmp_path)


def test_a_file_that_cannot_be_read_and_one_with_a_single_label_are_refused_and_named(tmp_path):
    write_label_map(tmp_path / "empty.nii.gz", np.zeros_like(LABELS))
    with pytest.raises(DataError, match=r"empty\.nii\.gz is no label map: .*constant"):
        read_label_scenes(tmp_path)
    (tmp_path / "empty.nii.gz").write_bytes(b"no image at all")
    with pytest.raises(DataError, match=r"empty\.nii\.gz is no label map: .*cannot be read"):
        read_label_scenes(tmp_path)


def test_a_turned_label_map_is_laid_along_the_axes_so_that_it_can_be_stretched(tmp_path):
    write_label_map(tmp_path / "turned.nii.gz", directions=OBLIQUE)
    scenes = read_label_scenes(tmp_path)
    directions = scenes[0].volume.ijk_to_ras[:3, :3] / scenes[0].volume.spacing
    assert np.isin(np.abs(directions), (0, 1)).all() and np.allclose(scenes[0].volume.spacing, (2, 2, 3))
    turned = np.diag([-1.0, -1.0, 1.0]) @ OBLIQUE  # LPS to RAS
    assert (turned * directions).sum() > 1.5  # no axis was exchanged or turned round without need
    for seed in range(8):  # stretched and turned: a shear would be refused
        anatomical_scene(scenes, np.random.default_rng(seed), 16, 1)


def test_a_straight_label_map_stays_as_it_lies(tmp_path):
    write_label_map(tmp_path / "straight.nii.gz", directions=np.diag([1.0, -1.0, 1.0]))
    matrix = read_label_scenes(tmp_path)[0].volume.ijk_to_ras
    assert np.array_equal(matrix[:3, :3], np.diag([-2.0, 2.0, 3.0]))


# What is rendered


@pytest.mark.parametrize("seed", range(4))
def test_labels_on_a_crop_are_those_of_the_nearest_voxels(seed):
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = OBLIQUE * (2.0, 2.0, 3.0)
    matrix[:3, 3] = rng.normal(0, 5, 3)
    labels = rng.integers(0, 128, (9, 8, 7)).astype(np.uint8)
    volume = Volume(labels, matrix)
    grid = CropGrid.around(volume.ijk_to_ras_points((3, 4, 4)) + rng.normal(0, 2, 3), 1.3, 16)
    ijk = np.floor(volume.ras_to_ijk(grid.index_to_ras(np.stack(np.indices((16,) * 3), -1))) + 0.5).astype(int)
    inside = ((ijk >= 0) & (ijk < (7, 8, 9))).all(-1)
    i, j, k = np.moveaxis(np.clip(ijk, 0, (6, 7, 8)), -1, 0)
    expected = np.where(inside, labels[k, j, i], 0)
    found = labels_on(grid, volume)
    assert found.dtype == np.uint8 and inside.any() and not inside.all()
    assert (found != expected).mean() < 1e-3  # a place between two voxels may fall to either


@pytest.mark.parametrize("seed", range(6))
def test_a_made_scene_is_an_image_and_structures_in_it(seed):
    image, targets = made_scene(np.random.default_rng(seed), SIZE, 3)
    assert image.shape == (1, SIZE, SIZE, SIZE) and image.isfinite().all() and image.std() > 0
    assert targets.shape == (3, SIZE, SIZE, SIZE)
    assert set(targets.unique().tolist()) <= {0.0, 1.0}


def test_scenes_follow_from_their_generator():
    for make in (made_scene, lambda rng, *given: anatomical_scene([a_scene()], rng, *given)):
        first, again, other = (make(np.random.default_rng(seed), SIZE, 2) for seed in (1, 1, 2))
        assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
        assert not torch.equal(first[0], other[0])


def test_mostly_a_scene_holds_something_and_several_targets_are_not_always_the_same():
    made = [made_scene(np.random.default_rng(seed), SIZE, 2)[1] for seed in range(12)]
    assert sum(bool(targets[0].any()) for targets in made) >= 9
    assert any(not torch.equal(*targets) for targets in made)


def test_a_real_label_map_is_rendered_around_a_structure_of_it():
    found = [anatomical_scene([a_scene()], np.random.default_rng(seed), SIZE, 2) for seed in range(12)]
    assert all(image.shape == (1, SIZE, SIZE, SIZE) and image.isfinite().all() for image, _ in found)
    assert sum(bool(targets.any()) for _, targets in found) >= 8


def test_a_label_map_of_one_small_structure_is_found_too():
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[5:7, 5:7, 5:7] = 9  # between the voxels that are looked at first
    image, _ = anatomical_scene([a_scene(labels)], np.random.default_rng(0), SIZE, 1)
    assert image.isfinite().all()
