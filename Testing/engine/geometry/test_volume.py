"""Volume: what it accepts and refuses, and where its voxels are, for every orientation."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from MemorizingSAM3DLib.engine.errors import ClickError, VolumeError
from MemorizingSAM3DLib.engine.geometry import Volume

AXIS_ORIENTATIONS = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1.0, -1.0), repeat=3)
]
SPACINGS = [(1.0, 1.0, 1.0), (0.3, 0.3, 3.0), (6.0, 0.6, 2.0), (0.7, 6.0, 6.0)]


def matrix_of(directions: np.ndarray, spacing: tuple[float, float, float], origin=(11.0, -23.5, 140.25)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = directions * spacing
    matrix[:3, 3] = origin
    return matrix


def scan(shape=(7, 9, 11), dtype=np.int16) -> np.ndarray:
    return (np.arange(np.prod(shape)) % 100).reshape(shape).astype(dtype)


def assert_fiducials_land_in_their_voxels(volume: Volume) -> None:
    k, j, i = np.indices(volume.shape).reshape(3, -1)[:, ::13]
    ijk = np.stack([i, j, k], axis=1)
    offsets = np.random.default_rng(0).uniform(-0.499, 0.499, ijk.shape)
    for voxel, ras in zip(ijk, volume.ijk_to_ras_points(ijk + offsets), strict=True):
        assert volume.nearest_voxel(ras) == tuple(voxel)
        assert volume.contains(ras)


def test_there_are_48_axis_orientations_of_both_handednesses() -> None:
    determinants = [round(np.linalg.det(directions)) for directions in AXIS_ORIENTATIONS]
    assert len({directions.tobytes() for directions in AXIS_ORIENTATIONS}) == 48
    assert determinants.count(1) == determinants.count(-1) == 24


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_fiducial_lands_in_its_voxel_in_every_axis_orientation(spacing) -> None:
    for directions in AXIS_ORIENTATIONS:
        assert_fiducials_land_in_their_voxels(Volume(scan(), matrix_of(directions, spacing)))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    finest=st.floats(0.3, 6.0),
    stretch=st.tuples(*[st.floats(1.0, 10.0)] * 3),
    mirrored=st.booleans(),
)
def test_a_fiducial_lands_in_its_voxel_in_oblique_scans(seed, finest, stretch, mirrored) -> None:
    directions = Rotation.random(random_state=seed).as_matrix() * (-1 if mirrored else 1)
    spacing = tuple(min(finest * factor, 6.0) for factor in stretch)
    volume = Volume(scan(), matrix_of(directions, spacing))
    assert np.allclose(volume.spacing, spacing, rtol=1e-12)
    assert_fiducials_land_in_their_voxels(volume)


def test_coordinates_survive_the_way_there_and_back() -> None:
    volume = Volume(scan(), matrix_of(Rotation.from_euler("xyz", [20, -35, 80], True).as_matrix(), (0.3, 0.9, 3.0)))
    points = np.random.default_rng(1).uniform(-300, 300, (50, 3))
    assert np.abs(volume.ijk_to_ras_points(volume.ras_to_ijk(points)) - points).max() < 1e-10
    assert volume.ras_to_ijk(points[0]).shape == (3,)
    assert volume.ras_to_ijk(points[0]).dtype == np.float64


def test_a_point_on_a_face_between_voxels_belongs_to_the_higher_and_outer_faces_are_inside() -> None:
    volume = Volume(scan(), np.eye(4))
    assert [volume.nearest_voxel((x, 0, 0))[0] for x in (-0.5, 0.49, 0.5, 1.5, 2.5, 10.5)] == [0, 0, 1, 2, 3, 10]
    assert volume.contains((10.5, 8.5, 6.5))
    assert not volume.contains((10.51, 8.5, 6.5))


def test_a_click_outside_says_how_far_and_what_to_do() -> None:
    volume = Volume(scan(), matrix_of(np.diag([-1.0, 1.0, 1.0]), (2.0, 1.0, 1.0), (0, 0, 0)))
    assert volume.distance_mm((1.0 + 30.0, 8.5 + 40.0, 0.0)) == pytest.approx(50.0)
    with pytest.raises(ClickError, match=r"50\.0 mm outside the scan.*same transform"):
        volume.nearest_voxel((31.0, 48.5, 0.0))
    with pytest.raises(ClickError, match=r"less than 0\.1 mm outside"):
        volume.nearest_voxel((1.01, 0.0, 0.0))


@pytest.mark.parametrize("ras", [(np.nan, 0, 0), (0, np.inf, 0), (0, 0, -np.inf)])
def test_a_click_without_a_finite_position_is_refused(ras) -> None:
    volume = Volume(scan(), np.eye(4))
    assert not volume.contains(ras)
    with pytest.raises(ClickError, match="no position"):
        volume.nearest_voxel(ras)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((64, 64)), "2D image of 64 x 64"),
        (np.ones(64), "1 dimensions"),
        (np.ones((5, 6, 7, 3)), "colour or vector image with 3 components"),
        (np.ones((10, 20, 30, 40)), "4D"),
        (np.ones((0, 20, 30)), "empty"),
        (np.ones((3, 64, 64)), "only 3 voxels thick along its k axis"),
        (np.ones((64, 64, 1)), "only 1 voxel thick along its i axis"),
        (np.full((8, 8, 8), 7, np.int16), "constant: every voxel is 7"),
        (np.full((8, 8, 8), 0.5), "constant"),
        (scan(dtype=np.complex64), "complex"),
        (scan().astype(object), "not numbers"),
        (scan().astype(str), "not numbers"),
    ],
)
def test_an_array_that_is_no_scan_is_refused_with_its_own_message(array, message) -> None:
    with pytest.raises(VolumeError, match=message) as caught:
        Volume(array, np.eye(4))
    assert len(caught.value.remedy) > 20


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_voxel_that_is_not_finite_is_padding_and_told(bad, dtype) -> None:
    array = scan(dtype=dtype)
    array[3, 4, 5] = bad
    volume = Volume(array, np.eye(4))
    assert volume.array[3, 4, 5] == np.nanmin(array[np.isfinite(array)])
    assert not np.isfinite(array[3, 4, 5])  # the user's own array stays
    assert "1 voxels are NaN or infinite" in " ".join(volume.notes)


def test_what_is_not_finite_in_a_ct_is_air() -> None:
    array = scan(dtype=np.float32)
    array[0] = np.nan
    assert (Volume(array, np.eye(4), "CT").array[0] == min(-1024, np.nanmin(array))).all()


def test_a_scan_without_a_finite_voxel_is_refused() -> None:
    with pytest.raises(VolumeError, match="every voxel is NaN or infinite"):
        Volume(np.full((6, 6, 6), np.nan), np.eye(4))


def test_a_single_voxel_that_differs_is_enough_not_to_be_constant() -> None:
    array = np.zeros((64, 64, 64), np.int16)
    array[33, 35, 37] = 1
    assert Volume(array, np.eye(4)).shape == (64, 64, 64)


def sheared(cosine: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 1] = (cosine, np.sqrt(1 - cosine**2), 0)
    return matrix


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (sheared(0.2), "sheared: its axes are 11.5 degrees off square.*Crop Volume"),
        (sheared(0.002), "sheared"),
        (np.diag([1.0, 1.0, 0.0, 1.0]), "singular"),
        (sheared(1.0), "singular"),
        (np.diag([1.0, 1.0, np.nan, 1.0]), "not a finite affine"),
        (np.eye(3), "not a finite affine"),
        (np.eye(4)[[0, 1, 3, 2]], "not a finite affine"),
    ],
)
def test_a_matrix_that_is_no_orientation_is_refused(matrix, message) -> None:
    with pytest.raises(VolumeError, match=message):
        Volume(scan(), matrix)


def test_rounding_in_the_header_is_not_called_shear() -> None:
    Volume(scan(), sheared(1e-4))


def test_the_array_is_shared_and_the_matrix_is_not() -> None:
    array, matrix = scan(), np.eye(4)
    volume = Volume(array, matrix)
    matrix[0, 3] = 99
    assert volume.array is array
    assert volume.ijk_to_ras[0, 3] == 0
    assert np.shares_memory(Volume(array > 50, np.eye(4)).array, array) is False
    mask = array > 50
    assert np.shares_memory(Volume(mask, np.eye(4)).array, mask)
    assert Volume(mask, np.eye(4)).array.dtype == np.uint8


def test_a_large_integer_scan_costs_no_pass_over_its_voxels() -> None:
    array = np.zeros((200, 512, 512), np.int16)
    array[100:] = 1
    times = []
    for _ in range(10):
        start = time.perf_counter()
        Volume(array, np.eye(4))
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005


def test_spacing_extent_and_shape_follow_their_own_orders() -> None:
    volume = Volume(scan((7, 9, 11)), matrix_of(AXIS_ORIENTATIONS[37], (0.5, 1.0, 2.0)))
    assert volume.shape == (7, 9, 11)
    assert volume.spacing == pytest.approx((0.5, 1.0, 2.0))
    assert volume.extent_mm == pytest.approx((5.5, 9.0, 14.0))


@pytest.mark.parametrize("directions", [*AXIS_ORIENTATIONS, Rotation.random(random_state=3).as_matrix()])
def test_simpleitk_and_volume_agree_on_places_in_every_orientation(directions) -> None:
    volume = Volume(scan(), matrix_of(directions, (0.5, 1.0, 2.0)))
    image = volume.to_sitk()
    r, a, s = volume.ijk_to_ras_points((3, 4, 5))
    assert image.TransformIndexToPhysicalPoint((3, 4, 5)) == pytest.approx((-r, -a, s))
    assert image[3, 4, 5] == volume.array[5, 4, 3]
    back = Volume.from_sitk(image, "CT")
    assert np.abs(back.ijk_to_ras - volume.ijk_to_ras).max() < 1e-12
    assert np.array_equal(back.array, volume.array)
    assert back.modality == "CT"


@pytest.mark.parametrize("dtype", [np.float16, ">i2", ">f4", np.uint64, bool])
def test_types_that_itk_does_not_know_are_converted(dtype) -> None:
    array = (scan() > 50).astype(dtype)
    assert np.array_equal(sitk.GetArrayFromImage(Volume(array, np.eye(4)).to_sitk()), array)
