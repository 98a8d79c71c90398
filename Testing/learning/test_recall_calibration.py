from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.predictor import Predictor
from MemorizingSAM3DLib.learning.case_task import CaseSource
from MemorizingSAM3DLib.learning.collection import Collection
from MemorizingSAM3DLib.learning.manifest import DataError
from MemorizingSAM3DLib.learning.recall_calibration import _Place, _slope, _within, calibrate
from Testing.engine.recall.small_recalls import CPU, BlindNetwork
from Testing.learning.small_evaluations import manifest_of


def a_source(folder, names) -> CaseSource:
    return CaseSource(Collection.open(manifest_of(folder, names)), folder / "cache")


def test_structures_that_look_alike_in_two_cases_are_heard(tmp_path):
    source = a_source(tmp_path, ["made/one", "made/two", "made/three"])
    told: list[tuple[int, int]] = []
    found = calibrate(Predictor(BlindNetwork(), CPU), "ab" * 32, source, source.collection.entries,
                      progress=lambda done, total: told.append((done, total)))  # fmt: skip
    assert found.places == 3 * 2 * 2 and told == [(1, 3), (2, 3), (3, 3)]
    assert found.heard > 0.9 and found.misled <= 0.2
    calibration = found.calibration
    assert calibration.encoder == "ab" * 32 and calibration.slope >= 1
    # As the file keeps it, so that the figures hold for the file.
    np.testing.assert_array_equal(calibration.mean, calibration.mean.astype(np.float16).astype(np.float32))


def test_one_case_is_not_enough(tmp_path):
    source = a_source(tmp_path, ["made/one"])
    with pytest.raises(DataError, match="two cases"):
        calibrate(Predictor(BlindNetwork(), CPU), "ab" * 32, source, source.collection.entries)


COSINES = st.lists(st.floats(-1, 1), min_size=1, max_size=20).map(np.array)


@given(COSINES, COSINES, st.floats(-1, 1))
def test_a_slope_is_finite_and_never_falls(own, foreign, middle):
    assert 1 <= _slope(own, foreign, middle) < 1e5


def test_cosines_that_overlap_less_give_a_steeper_slope():
    rng = np.random.default_rng(0)
    slopes = [_slope(rng.normal(0.5 + gap, 0.1, 400), rng.normal(0.5 - gap, 0.1, 400), 0.5) for gap in (0.02, 0.1, 0.3)]
    assert slopes == sorted(slopes) and slopes[0] < slopes[2] / 2


def test_the_slope_is_the_likeliest_one():
    rng = np.random.default_rng(1)
    own, foreign = rng.normal(0.6, 0.1, 500), rng.normal(0.4, 0.1, 500)
    # Normal distributions of one width: the log-odds are linear in the cosine, their slope is distance / variance.
    assert _slope(own, foreign, 0.5) == pytest.approx(0.2 / 0.1**2, rel=0.2)


def test_what_differs_between_patients_at_one_place_is_damped_and_what_differs_between_places_is_not():
    rng = np.random.default_rng(2)
    patients, count = 8, 40
    identity, kinds = np.eye(count)[0], np.eye(count)[1:4]
    places, vectors = [], []
    for structure, kind in zip("abc", kinds, strict=True):
        for patient in range(patients):
            places.append(_Place(None, "made", f"case {patient}", structure, 0))
            vectors.append(kind + 3 * rng.normal() * identity + 0.01 * rng.normal(size=count))
    damped = _within(np.array(vectors, np.float32), places).of(np.array(vectors, np.float32))
    assert np.abs(damped @ identity).mean() < 0.5 * np.abs(damped @ kinds.T).max(axis=1).mean()
    left_out = _within(np.array(vectors, np.float32), places, leave_out={("made", s) for s in "abc"})
    np.testing.assert_array_equal(left_out.damping, 0)
