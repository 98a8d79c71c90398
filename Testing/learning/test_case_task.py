from __future__ import annotations

import pytest

from MemorizingSAM3DLib.engine.predictor import Predictor
from MemorizingSAM3DLib.learning.case_task import CaseSource, CaseTask, LabelsOfCase, compute
from MemorizingSAM3DLib.learning.collection import Collection
from MemorizingSAM3DLib.learning.evaluation import EvaluationOptions
from MemorizingSAM3DLib.learning.pack import write_pack
from MemorizingSAM3DLib.learning.scores import Failure, StructureResult
from Testing.engine.click_networks import BrightnessNetwork
from Testing.learning.small_evaluations import manifest_of, two_blocks
from Testing.learning.small_files import write_volume

OPTIONS = EvaluationOptions(clicks=1)


@pytest.fixture
def a_source(tmp_path) -> CaseSource:
    return CaseSource(Collection.open(manifest_of(tmp_path, ["made/one"])), tmp_path / "cache")


def a_task(source: CaseSource, options: EvaluationOptions = OPTIONS, **entry: object) -> CaseTask:
    return CaseTask.of(source, 1, {**source.collection.entries[0], **entry}, options, millimetres=True)


def test_the_key_changes_with_whatever_changes_the_results(a_source, tmp_path):
    task = a_task(a_source)
    assert a_task(a_source) == task
    assert a_task(a_source, modality="MR").key != task.key
    fewer = EvaluationOptions(clicks=1, labels_per_case=1)
    numbered = [CaseTask.of(a_source, n, a_source.collection.entries[0], fewer, True).key for n in (1, 2)]
    assert numbered[0] != numbered[1]
    write_volume(tmp_path / "made" / "one" / "label.nii.gz", two_blocks().labels[:-1])
    assert a_task(a_source).key != task.key


def test_the_manifest_promises_how_much_there_is_to_do(a_source):
    labels = {"1": {"name": "large", "ml": 3.0}, "2": {"name": "small", "ml": 0.2}, "3": {"name": "unknown"}}
    assert a_task(a_source, labels=labels).expected_structures(OPTIONS) == 2
    assert a_task(a_source, labels=labels).expected_structures(EvaluationOptions(labels_per_case=1)) == 1


def test_labels_come_first_and_then_each_result(a_source):
    found = list(compute(a_task(a_source), a_source, Predictor(BrightnessNetwork()), OPTIONS, ()))
    assert found[0] == LabelsOfCase((1, 2))
    assert [result.label for result in found[1:] if isinstance(result, StructureResult)] == [1, 2]


def test_what_is_done_is_not_computed_again(a_source):
    task = a_task(a_source)
    rest = CaseTask(task.number, task.entry, task.key, True, frozenset({1}))
    _, *found = compute(rest, a_source, Predictor(BrightnessNetwork()), OPTIONS, ())
    assert [result.label for result in found if isinstance(result, StructureResult)] == [2]


def the_failure(source: CaseSource) -> Failure:
    (failure,) = compute(a_task(source), source, Predictor(BrightnessNetwork()), OPTIONS, ())
    assert isinstance(failure, Failure) and failure.label is None
    return failure


def test_a_missing_file_fails_the_case(a_source, tmp_path):
    (tmp_path / "made" / "one" / "image.nii.gz").unlink()
    assert "there is no file" in the_failure(a_source).message


def test_a_file_that_is_no_image_fails_the_case(a_source, tmp_path):
    (tmp_path / "made" / "one" / "label.nii.gz").write_bytes(b"not an image")
    assert "made/one cannot be read" in the_failure(a_source).message


def test_image_and_label_on_different_grids_fail_the_case(a_source, tmp_path):
    write_volume(tmp_path / "made" / "one" / "label.nii.gz", two_blocks().labels[:-1], (2.0, 2.0, 2.5))
    assert "different grids" in the_failure(a_source).message


def test_a_label_without_voxels_fails_the_case(a_source, tmp_path):
    labels = two_blocks().labels
    labels[labels == 2] = 0
    write_volume(tmp_path / "made" / "one" / "label.nii.gz", labels, (2.0, 2.0, 2.5))
    assert "no voxel of label 2 (right block)" in the_failure(a_source).message


def test_a_training_pack_is_evaluated_like_its_manifest(a_source, tmp_path):
    path = tmp_path / "pack.zip"
    write_pack(tmp_path, a_source.collection.entries, path)
    packed = CaseSource(Collection.open(path), tmp_path / "cache")
    assert packed.files_of(packed.collection.entries[0]) == (path,)
    _, *found = compute(a_task(packed), packed, Predictor(BrightnessNetwork()), OPTIONS, ())
    assert [result.label for result in found if isinstance(result, StructureResult)] == [1, 2]
