"""DICOM: slices and frames where they say they lie, values as they say they are, and refusals that name no patient."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import Volume
from Testing.engine.dicom_writing import CT, PATIENT, PT, write_enhanced, write_series

COUNT = 8
FRAMES = np.random.default_rng(0).integers(0, 900, (COUNT, 10, 12)).astype(np.uint16)
POSITIONS = [(-20.0, -30.0, 5.0 + 3 * n) for n in range(COUNT)]


def without(*fields):
    def change(one, _number):
        for field in fields:
            delattr(one, field)

    return change


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(COUNT)), data=st.data())
def test_frames_lie_where_they_say_whatever_their_order(tmp_path_factory, order, data):
    path = tmp_path_factory.mktemp("frames") / "e.dcm"
    slopes = data.draw(st.lists(st.sampled_from([1.0, 0.25, 2.5]), min_size=COUNT, max_size=COUNT))
    write_enhanced(path, FRAMES[list(order)], [POSITIONS[n] for n in order],
                   scaling=[(slopes[n], -3.0) for n in order])  # fmt: skip
    volume = Volume.from_file(path)
    np.testing.assert_allclose(volume.array, FRAMES * np.array(slopes)[:, None, None] - 3.0, rtol=1e-6)
    assert volume.ijk_to_ras_points((0, 0, COUNT - 1)) == pytest.approx((20, 30, POSITIONS[-1][2]))
    assert volume.spacing == pytest.approx((2, 2, 3))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(slopes=st.lists(st.floats(1e-4, 50), min_size=COUNT, max_size=COUNT), signed=st.booleans())
def test_every_slice_has_its_own_slope(tmp_path_factory, slopes, signed):
    folder = tmp_path_factory.mktemp("pet")
    slopes = [float(f"{slope:.6g}") for slope in slopes]
    pixels = FRAMES.astype(np.int16) - 200 if signed else FRAMES
    write_series(folder, pixels, POSITIONS, sop=PT, slopes=slopes)
    np.testing.assert_allclose(
        Volume.from_file(folder).array, pixels * np.array(slopes)[:, None, None], rtol=1e-5, atol=1e-6
    )


def test_slices_of_both_signs_do_not_wrap_around(tmp_path):
    def change(one, number):
        one.PixelRepresentation = number % 2

    write_series(tmp_path, np.full_like(FRAMES, 100) + FRAMES % 50, POSITIONS, change=change)
    assert Volume.from_file(tmp_path).array.max() == 149


def enhanced(**options):
    def write(folder):
        frames = options.pop("frames", FRAMES)
        write_enhanced(folder / "scan.dcm", frames, options.pop("positions", POSITIONS), **options)
        return folder / "scan.dcm"

    return write


def series(**options):
    def write(folder):
        return write_series(folder, options.pop("frames", FRAMES), options.pop("positions", POSITIONS), **options)

    return write


KEPT = [0, 1, 2, 5, 6, 7]
TWICE = np.concatenate([FRAMES, FRAMES // 4])


def echoes(one, number):
    one.EchoTime = "10" if number < COUNT else "80"


def localizer(one, number):
    one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if number % 2 else [0, 1, 0, 0, 0, -1]


REFUSED = {
    "frames missing": (enhanced(frames=FRAMES[KEPT], positions=[POSITIONS[n] for n in KEPT]), "2 slices of .* missing"),
    "two volumes in one file": (enhanced(frames=TWICE, positions=POSITIONS * 2), "16 slices at 8 places"),
    "two times": (enhanced(frames=TWICE, positions=POSITIONS * 2, times=[1] * 8 + [2] * 8), "--volume 1 to --volume 2"),
    "frames without positions": (enhanced(positions=[None] * COUNT), "do not say their position"),
    "slices without positions": (series(change=without("ImagePositionPatient")), "position .ImagePositionPatient."),
    "slices without directions": (series(change=without("ImageOrientationPatient")), "direction .ImageOrientation"),
    "slices without pixel size": (series(change=without("PixelSpacing")), "size of their pixels .PixelSpacing."),
    "slices without any geometry": (
        series(change=without("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")), "do not say"),
    "slices missing": (series(frames=FRAMES[KEPT], positions=[POSITIONS[n] for n in KEPT]), "2 slices of .* missing"),
    "uneven": (series(positions=[(-20, -30, z) for z in (0, 3, 6, 9, 10, 13, 16, 19)]), "unevenly spaced"),
    "tilted": (series(positions=[(-20, -30 + n, 3.0 * n) for n in range(COUNT)]), "gantry stood 18.4 degrees"),
    "two echoes": (series(frames=TWICE, positions=POSITIONS * 2, change=echoes), "2 volumes of 8 slices.*--volume 2"),
    "duplicates": (series(frames=TWICE, positions=POSITIONS * 2), "16 slices at 8 places.*Take copies out"),
    "localizer": (series(change=localizer), "several directions"),
    "colours": (series(frames=np.zeros((8, 10, 12), np.uint8),
                       change=lambda one, _: setattr(one, "SamplesPerPixel", 3)), "colour|cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_geometry_that_is_not_said_or_not_regular_is_refused_in_its_own_words(kind, tmp_path):
    write, words = REFUSED[kind]
    with pytest.raises(VolumeError, match=words) as caught:
        Volume.from_file(write(tmp_path))
    assert len(caught.value.remedy) > 15
    assert not any(part in str(caught.value) for part in PATIENT.split("^"))


@pytest.mark.parametrize(("number", "factor"), [(1, 1), (2, 4)])
def test_one_of_several_volumes_is_chosen(tmp_path, number, factor):
    write_series(tmp_path / "echoes", TWICE, POSITIONS * 2, change=echoes)
    assert (Volume.from_file(tmp_path / "echoes", volume=number).array == FRAMES // factor).all()
    write_enhanced(tmp_path / "times.dcm", TWICE, POSITIONS * 2, times=[1] * 8 + [2] * 8)
    assert (Volume.from_file(tmp_path / "times.dcm", volume=number).array == FRAMES // factor).all()


def test_the_same_image_sent_twice_is_one(tmp_path):
    write_series(tmp_path, FRAMES, POSITIONS)
    for file in sorted(tmp_path.iterdir())[:3]:
        (tmp_path / f"copy-{file.name}").write_bytes(file.read_bytes())
    volume = Volume.from_file(tmp_path)
    assert (volume.array == FRAMES).all()
    assert "3 files are copies" in volume.notes[0]


def a_study(folder):
    write_series(folder / "1", FRAMES, POSITIONS, change=lambda one, _: setattr(one, "SeriesNumber", 1))
    write_series(folder / "2", FRAMES + 7, POSITIONS, sop=PT, change=lambda one, _: setattr(one, "SeriesNumber", 2))
    return folder


def test_several_series_are_listed_without_the_patients_name_and_one_is_chosen(tmp_path):
    with pytest.raises(VolumeError) as caught:
        Volume.from_file(a_study(tmp_path))
    told = str(caught.value)
    assert "1: CT, 12 x 10 x 8, thorax ***; 2: PT, 12 x 10 x 8, thorax ***." in told
    assert "--series 1 to --series 2" in told and "Musterfrau" not in told
    assert (Volume.from_file(tmp_path, series="2").array == FRAMES + 7).all()
    uid = str(pydicom.dcmread(tmp_path / "2" / "0000.dcm").SeriesInstanceUID)
    assert Volume.from_file(tmp_path, series=uid).modality == "PT"
    with pytest.raises(VolumeError, match="holds no series '9'"):
        Volume.from_file(tmp_path, series="9")


def test_a_file_of_a_series_and_a_dicomdir_lead_to_the_whole_series(tmp_path):
    a_study(tmp_path)
    volume = Volume.from_file(tmp_path / "2" / "0004.dcm")
    assert (volume.array == FRAMES + 7).all() and "its whole series of 8 files" in volume.notes[0]
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    assert (Volume.from_file(tmp_path / "DICOMDIR", series="1").array == FRAMES).all()


def test_results_beside_the_images_are_no_series_to_choose(tmp_path):
    write_series(tmp_path, FRAMES, POSITIONS)
    result = {"names": "seg{}.dcm", "change": lambda one, _: setattr(one, "Modality", "SEG")}
    write_series(tmp_path, FRAMES[:4], POSITIONS[:4], **result)
    assert (Volume.from_file(tmp_path).array == FRAMES).all()


def test_other_files_in_the_folder_are_passed_over(tmp_path):
    write_series(tmp_path, FRAMES, POSITIONS)
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "VERSION").write_text("1")
    assert (Volume.from_file(tmp_path).array == FRAMES).all()


def test_a_damaged_slice_is_told(tmp_path):
    write_series(tmp_path, FRAMES, POSITIONS)
    file = tmp_path / "0003.dcm"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(VolumeError, match=r"cannot be read|missing"):
        Volume.from_file(tmp_path)


def test_a_series_is_ct_by_its_header(tmp_path):
    write_series(tmp_path, FRAMES, POSITIONS, sop=CT, intercept=-1024)
    volume = Volume.from_file(tmp_path)
    assert (volume.modality, int(volume.array.min())) == ("CT", int(FRAMES.min()) - 1024)
