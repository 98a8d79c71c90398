from __future__ import annotations

import pytest

from MemorizingSAM3DLib.engine.predictor import Predictor
from MemorizingSAM3DLib.learning.case_task import CaseSource, CaseTask
from MemorizingSAM3DLib.learning.collection import Collection
from MemorizingSAM3DLib.learning.evaluation import EvaluationOptions
from MemorizingSAM3DLib.learning.evaluation_run import case_tasks, identity, run_evaluation
from MemorizingSAM3DLib.learning.evaluation_workers import Job, ModelSource
from MemorizingSAM3DLib.learning.finished_structures import FinishedStructures
from Testing.engine.click_networks import BrightnessNetwork
from Testing.learning.small_evaluations import BallTool, manifest_of

OPTIONS = EvaluationOptions(clicks=2)


@pytest.fixture
def a_job(tmp_path) -> Job:
    source = CaseSource(Collection.open(manifest_of(tmp_path)), tmp_path / "cache")
    return Job(ModelSource(None, "cpu"), source, OPTIONS, (BallTool(),))


@pytest.fixture
def a_predictor() -> Predictor:
    return Predictor(BrightnessNetwork(reach=0.2))


def tasks_of(job: Job) -> list[CaseTask]:
    return case_tasks(job.source, job.source.collection.entries, job.options)


def finished_in(folder, job: Job, predictor: Predictor, sha256: str = "abc") -> FinishedStructures:
    return FinishedStructures(folder, identity(sha256, predictor, job.options, job.baselines))


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
    job = Job(a_job.model, a_job.source, OPTIONS, (BallTool(fails_at=2),))
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
    tasks = case_tasks(a_job.source, entries, OPTIONS, dice_only=["other"])
    assert [task.millimetres for task in tasks] == [True, False, False]
