from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from MemorizingSAM3DLib.engine.models.checkpoints import save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.learning.case_memory import BuildJob, BuildProgress, _Place, _slope, _within, build, calibrate
from MemorizingSAM3DLib.learning.data.manifest import DataError
from MemorizingSAM3DLib.learning.data.pack import Collection
from MemorizingSAM3DLib.learning.evaluation.memory_options import OFF, MemoryChoice
from MemorizingSAM3DLib.learning.evaluation.run import CaseSource, ModelSource
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.engine.small_retrievals import CPU, BlindNetwork
from Testing.learning.small_evaluations import manifest_of

SECRET = "secret-of-jane-doe"


@pytest.fixture
def a_job(tmp_path) -> BuildJob:
    torch.manual_seed(1)
    save_native(build_network(SMALL_NATIVE), tmp_path / "small.safetensors", {"steps": 9}, "float32")
    folder = tmp_path / SECRET
    source = CaseSource(Collection.open(manifest_of(folder, [f"{SECRET}/one", f"{SECRET}/two"])), tmp_path / "cache")
    model = ModelSource(str(tmp_path / "small.safetensors"), "cpu", None, MemoryChoice(OFF))
    return BuildJob(model, tmp_path / "memory", source)


def augmented(job: BuildJob, **changes) -> BuildJob:
    return BuildJob(**{**vars(job), **changes})


def test_every_structure_of_every_case_is_remembered_once(a_job):
    entries = a_job.source.collection.entries
    done = list(build(a_job, entries))
    assert [(one.entry, one.added, one.known, one.failure) for one in done] == [
        (entry["id"], 2, 0, None) for entry in entries
    ]
    memory = CaseMemory.open(a_job.memory)
    assert sorted(case.facts.structure for case in memory.cases) == ["left block"] * 2 + ["right block"] * 2
    assert {(case.facts.modality, case.facts.source) for case in memory.cases} == {("CT", "training")}
    assert [(one.added, one.known) for one in build(a_job, entries)] == [(0, 2), (0, 2)]
    assert CaseMemory.open(a_job.memory).ids == memory.ids


def test_nothing_of_the_scan_is_in_the_memorys_files(a_job):
    list(build(augmented(a_job, layers=(1,)), a_job.source.collection.entries))
    assert CaseMemory.open(a_job.memory).layout.layers == ("1",)
    for path in a_job.memory.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for secret in (SECRET, "jane", "one", "two", "image.nii", str(a_job.memory.parent)):
            assert secret.encode() not in content.lower(), (path, secret)
            assert secret not in path.name


def in_order_of_shapes(path):
    """(structure and shape, descriptors) of every case, in the order of the former."""
    memory = CaseMemory.open(path)
    cases = [(case.facts.structure, memory.arrays(case.id)) for case in memory.cases]
    told = [((name, arrays["mask"].tobytes()), arrays["prior.descriptors"].astype(float)) for name, arrays in cases]
    return sorted(told, key=lambda case: case[0])


def test_workers_remember_the_same(a_job, tmp_path):
    entries = a_job.source.collection.entries
    list(build(a_job, entries))
    together = augmented(a_job, memory=tmp_path / "together")
    assert {one.entry for one in build(together, entries, workers=2)} == {entry["id"] for entry in entries}
    one, other = (in_order_of_shapes(job.memory) for job in (a_job, together))
    assert [case[0] for case in one] == [case[0] for case in other]
    # Another number of threads adds in another order.
    np.testing.assert_allclose([case[1] for case in one], [case[1] for case in other], atol=2e-3)


def test_only_the_structures_asked_for_and_large_ones(a_job, tmp_path):
    entries = a_job.source.collection.entries
    (one, _) = build(augmented(a_job, structures=frozenset({"right block"})), entries)
    assert one.added == 1
    (one, _) = build(augmented(a_job, minimum_ml=19.0, memory=tmp_path / "large"), entries)
    assert one.added == 1
    assert {case.facts.structure for case in CaseMemory.open(tmp_path / "large").cases} == {"left block"}


def test_a_case_that_cannot_be_read_is_told_of_and_ends_nothing(a_job, tmp_path):
    (tmp_path / SECRET / SECRET / "one" / "label.nii.gz").unlink()
    first, second = build(a_job, a_job.source.collection.entries)
    assert "no file" in first.failure and first.added == 0
    assert second.failure is None and second.added == 2


def test_what_is_done_is_not_done_again(a_job):
    entries = a_job.source.collection.entries
    progress = BuildProgress(a_job.memory)
    list(build(a_job, entries[:1]))
    progress.note(entries[0]["id"])
    assert not progress.path.is_relative_to(a_job.memory)  # a memory names no case
    resumed = BuildProgress(a_job.memory)
    assert resumed.missing(entries) == entries[1:]
    resumed.finish()
    assert not resumed.path.exists() and BuildProgress(a_job.memory).missing(entries) == entries


def test_without_its_memory_nothing_is_done(a_job):
    entries = a_job.source.collection.entries
    BuildProgress(a_job.memory).note(entries[0]["id"])
    assert BuildProgress(a_job.memory).missing(entries) == entries


@pytest.mark.parametrize("text", ["", "{", "3", json.dumps({"a": 1})[:4]])
def test_a_progress_that_was_cut_off_counts_as_none(a_job, text):
    a_job.memory.mkdir()
    progress = BuildProgress(a_job.memory)
    progress.path.write_text(text, encoding="utf-8")
    entries = a_job.source.collection.entries
    assert BuildProgress(a_job.memory).missing(entries) == entries


def test_the_folder_at_hand_may_be_the_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    BuildProgress(Path(".")).note("a")
    assert (tmp_path.parent / f"{tmp_path.name}.building.json").exists()


def a_source(folder, names) -> CaseSource:
    return CaseSource(Collection.open(manifest_of(folder, names)), folder / "cache")


def test_structures_that_look_alike_in_two_cases_are_heard(tmp_path):
    source = a_source(tmp_path, ["made/one", "made/two", "made/three"])
    told: list[tuple[int, int]] = []
    found = calibrate(Predictor(BlindNetwork(), CPU), "ab" * 32, source, source.collection.entries,
                      progress=lambda done, total: told.append((done, total)))  # fmt: skip
    assert found.places == 3 * 2 * 2 and told == [(1, 3), (2, 3), (3, 3)]
    assert found.attended > 0.9 and found.misled <= 0.2
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
