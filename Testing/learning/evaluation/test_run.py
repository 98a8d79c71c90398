from __future__ import annotations

import pytest

from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.learning.data.pack import Collection, write_pack
from MemorizingSAM3DLib.learning.evaluation.evaluate import EvaluationOptions
from MemorizingSAM3DLib.learning.evaluation.results import Failure, ResumeLog, StructureResult
from MemorizingSAM3DLib.learning.evaluation.run import (
    CaseSource,
    Job,
    LabelsOfCase,
    ModelSource,
    WorkItem,
    compute,
    identity,
    run_evaluation,
    work_items,
)
from Testing.engine.click_networks import BrightnessNetwork
from Testing.learning.small_evaluations import BallTool, manifest_of, two_blocks
from Testing.learning.small_files import write_volume

OPTIONS = EvaluationOptions(clicks=1)


@pytest.fixture
def a_source(tmp_path) -> CaseSource:
    return CaseSource(Collection.open(manifest_of(tmp_path, ["made/one"])), tmp_path / "cache")


def a_task(source: CaseSource, options: EvaluationOptions = OPTIONS, **entry: object) -> WorkItem:
    return WorkItem.of(source, 1, {**source.collection.entries[0], **entry}, options, millimetres=True)


def test_the_key_changes_with_whatever_changes_the_results(a_source, tmp_path):
    task = a_task(a_source)
    assert a_task(a_source) == task
    assert a_task(a_source, modality="MR").key != task.key
    fewer = EvaluationOptions(clicks=1, labels_per_case=1)
    numbered = [WorkItem.of(a_source, n, a_source.collection.entries[0], fewer, True).key for n in (1, 2)]
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
    rest = WorkItem(task.number, task.entry, task.key, True, frozenset({1}))
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


OPTIONS_OF_A_RUN = EvaluationOptions(clicks=2)


@pytest.fixture
def a_job(tmp_path) -> Job:
    source = CaseSource(Collection.open(manifest_of(tmp_path)), tmp_path / "cache")
    return Job(ModelSource(None, "cpu"), source, OPTIONS_OF_A_RUN, (BallTool(),))


@pytest.fixture
def a_predictor() -> Predictor:
    return Predictor(BrightnessNetwork(reach=0.2))


def tasks_of(job: Job) -> list[WorkItem]:
    return work_items(job.source, job.source.collection.entries, job.options)


def finished_in(folder, job: Job, predictor: Predictor, sha256: str = "abc") -> ResumeLog:
    return ResumeLog(folder, identity(sha256, predictor, job.options, job.baselines))


def test_results_come_in_the_order_of_the_manifest(a_job, a_predictor, tmp_path):
    outcome = run_evaluation(a_job, a_predictor, tasks_of(a_job), finished_in(tmp_path, a_job, a_predictor))
    assert [(r.case, r.label) for r in outcome.results] == [
        ("made/one", 1), ("made/one", 2), ("other/two", 1), ("other/two", 2),
    ]  # fmt: skip
    assert (outcome.failures, outcome.resumed) == ([], 0)


def test_an_interrupted_run_goes_on_where_it_was_and_gives_the_same(a_job, a_predictor, tmp_path):
    whole = run_evaluation(a_job, a_predictor, tasks_of(a_job), finished_in(tmp_path, a_job, a_predictor))
    folder = tmp_path / "interrupted"
    folder.mkdir()

    def interrupt(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_evaluation(a_job, a_predictor, tasks_of(a_job), finished_in(folder, a_job, a_predictor), progress=interrupt)
    decodes = a_predictor.network.decodes
    rest = run_evaluation(a_job, a_predictor, tasks_of(a_job), finished_in(folder, a_job, a_predictor))

    assert rest.resumed == 3
    assert a_predictor.network.decodes - decodes < decodes / 4  # the warm-up and one structure of seven
    scores = [[[(s.dice, s.nsd) for s in run.scores] for run in r.runs] for r in whole.results]
    assert [[[(s.dice, s.nsd) for s in run.scores] for run in r.runs] for r in rest.results] == scores


def test_a_finished_run_computes_nothing(a_job, a_predictor, tmp_path):
    whole = run_evaluation(a_job, a_predictor, tasks_of(a_job), finished_in(tmp_path, a_job, a_predictor))
    decodes = a_predictor.network.decodes
    again = run_evaluation(a_job, a_predictor, tasks_of(a_job), finished_in(tmp_path, a_job, a_predictor))
    assert a_predictor.network.decodes == decodes
    assert (again.results, again.resumed) == (whole.results, 4)


def test_another_model_computes_everything(a_job, a_predictor, tmp_path):
    run_evaluation(a_job, a_predictor, tasks_of(a_job), finished_in(tmp_path, a_job, a_predictor))
    other = finished_in(tmp_path, a_job, a_predictor, sha256="abd")
    assert other.replaced
    assert run_evaluation(a_job, a_predictor, tasks_of(a_job), other).resumed == 0


def test_a_case_that_cannot_be_read_is_a_failure_and_is_tried_again(a_job, a_predictor, tmp_path):
    image = tmp_path / "made" / "one" / "image.nii.gz"
    image.rename(image.with_name("hidden"))
    outcome = run_evaluation(a_job, a_predictor, tasks_of(a_job), finished_in(tmp_path, a_job, a_predictor))
    assert [r.case for r in outcome.results] == ["other/two", "other/two"]
    assert [(f.case, f.label) for f in outcome.failures] == [("made/one", None)]

    image.with_name("hidden").rename(image)
    mended = run_evaluation(a_job, a_predictor, tasks_of(a_job), finished_in(tmp_path, a_job, a_predictor))
    assert (len(mended.results), mended.failures, mended.resumed) == (4, [], 2)


def test_a_contender_that_failed_is_remembered(a_job, a_predictor, tmp_path):
    job = Job(a_job.model, a_job.source, OPTIONS_OF_A_RUN, (BallTool(fails_at=2),))
    for _ in range(2):  # computed, then read back
        outcome = run_evaluation(job, a_predictor, tasks_of(job), finished_in(tmp_path, job, a_predictor))
        assert [(f.label, f.contender) for f in outcome.failures] == [(1, "ball"), (2, "ball")] * 2


def test_progress_reaches_its_total_even_when_cases_fail(a_job, a_predictor, tmp_path):
    (tmp_path / "made" / "one" / "label.nii.gz").unlink()
    seen: list[tuple[int, int]] = []
    run_evaluation(
        a_job, a_predictor, tasks_of(a_job), finished_in(tmp_path, a_job, a_predictor),
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen[0] == (0, 4)
    assert seen[-1] == (2, 2)


def test_millimetres_are_nominal_where_the_option_or_the_manifest_says_so(a_job):
    entries = [dict(entry) for entry in a_job.source.collection.entries]
    entries.append({**entries[0], "id": "third", "nominal_spacing": True})
    tasks = work_items(a_job.source, entries, OPTIONS_OF_A_RUN, dice_only=["other"])
    assert [task.millimetres for task in tasks] == [True, False, False]
