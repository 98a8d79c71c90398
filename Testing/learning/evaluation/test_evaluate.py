from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.networks.config import full_grid_config
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.learning.data.cases import Case, case_volume
from MemorizingSAM3DLib.learning.evaluation.challenge import challenge_click
from MemorizingSAM3DLib.learning.evaluation.evaluate import (
    EvaluationOptions,
    NetworkWithoutSession,
    evaluate_case,
    evaluate_structure,
    evaluated_labels,
    tool_of_session,
)
from MemorizingSAM3DLib.learning.evaluation.metrics import dice
from MemorizingSAM3DLib.learning.evaluation.results import Failure, StructureResult
from MemorizingSAM3DLib.learning.simulated_user import central_click
from Testing.engine.click_networks import BrightnessNetwork
from Testing.learning.small_evaluations import BallTool, two_blocks


@pytest.fixture
def a_scan():
    case = two_blocks()
    return case, case_volume(case), np.ascontiguousarray((case.labels == 1).transpose(2, 1, 0))


def inside(volume, truth) -> Click:
    r, a, s = volume.ijk_to_ras_points(np.argwhere(truth).mean(axis=0)[::-1]).tolist()
    return Click((r, a, s))


def test_the_mask_is_what_the_network_says_of_one_crop(a_scan):
    _, volume, truth = a_scan
    predictor = Predictor(BrightnessNetwork(reach=0.2))
    bare = NetworkWithoutSession(predictor, volume, truth)
    mask = bare(inside(volume, truth))
    assert (mask & truth).sum() > 0.6 * truth.sum()
    bare(inside(volume, truth))
    assert predictor.encodes == 1


def test_no_rule_holds_what_was_clicked(a_scan, monkeypatch):
    """A network that does not listen to the second click: in a session the clicked voxel would change all the same."""
    _, volume, truth = a_scan
    predictor = Predictor(BrightnessNetwork(reach=0.2))
    first = inside(volume, truth)
    grid_logits = []
    real = predictor.logits
    monkeypatch.setattr(predictor, "logits", lambda *a: grid_logits[0] if grid_logits else real(*a))
    bare, session = NetworkWithoutSession(predictor, volume, truth), tool_of_session(predictor, volume)
    mask = bare(first)
    grid_logits.append(real(bare._grid, [first], None))
    session(first)
    again = Click(first.ras, positive=False)
    assert np.array_equal(bare(again), mask)
    i, j, k = np.rint(volume.ras_to_ijk(first.ras)).astype(int).tolist()
    assert mask[k, j, i] and not session(again)[k, j, i]


def test_a_click_outside_the_crop_changes_nothing(a_scan):
    _, volume, truth = a_scan
    bare = NetworkWithoutSession(Predictor(BrightnessNetwork(reach=0.2)), volume, truth)
    mask = bare(inside(volume, truth))
    assert np.array_equal(bare(Click((1e4, 0.0, 0.0))), mask)


def test_an_evaluation_can_be_of_the_network_alone(a_scan):
    case, volume, _ = a_scan
    predictor = Predictor(BrightnessNetwork(reach=0.2))
    result = evaluate_structure(predictor, volume, case, 1, EvaluationOptions(clicks=3, bare=True))
    assert predictor.encodes == 1  # a session looks twice
    assert result.runs[0].dice[-1] > 0.7


@pytest.fixture
def a_case() -> Case:
    return two_blocks()


@pytest.fixture
def a_predictor() -> Predictor:
    return Predictor(BrightnessNetwork(reach=0.2))


def evaluated(predictor: Predictor, case: Case, label: int, clicks: int = 3, baselines: Sequence[BallTool] = (),
              millimetres: bool = True, **options: object) -> StructureResult:  # fmt: skip
    chosen = EvaluationOptions(clicks=clicks, **options)  # type: ignore[arg-type]
    return evaluate_structure(predictor, case_volume(case), case, label, chosen, baselines, millimetres)


def test_a_structure_that_stands_out_is_found_in_a_few_clicks(a_predictor, a_case):
    result = evaluated(a_predictor, a_case, 2, clicks=4)

    (run,) = result.runs
    assert len(run.dice) == 4
    assert run.dice[-1] > 0.85
    assert run.nsd is not None and run.nsd[-1] > 0.7
    assert result.name == "right block"
    assert result.millilitres == pytest.approx((a_case.labels == 2).sum() * 10 / 1000)


def test_every_structure_starts_from_an_empty_mask(a_predictor, a_case):
    alone = evaluated(a_predictor, a_case, 1).runs[0].dice
    evaluated(a_predictor, a_case, 2)
    assert evaluated(a_predictor, a_case, 1).runs[0].dice == alone


def test_a_click_computed_before_is_timed_again(a_predictor, a_case):
    evaluated(a_predictor, a_case, 1)
    decodes = a_predictor.network.decodes
    evaluated(a_predictor, a_case, 1)
    assert a_predictor.network.decodes >= decodes + 3


def test_a_crop_that_an_earlier_structure_needed_is_not_encoded_again(a_predictor, a_case):
    options = EvaluationOptions(clicks=2)
    list(evaluate_case(a_predictor, a_case, [1], options))
    alone = a_predictor.encodes
    list(evaluate_case(a_predictor, a_case, [1, 1], options))
    assert a_predictor.encodes == 2 * alone


def test_where_millimetres_are_nominal_there_is_no_nsd(a_predictor, a_case):
    (run,) = evaluated(a_predictor, a_case, 1, millimetres=False).runs
    assert run.nsd is None and run.dice[0] > 0


def test_baselines_hear_exactly_the_clicks_of_the_model_one_more_each_time(a_predictor, a_case):
    tool = BallTool()
    result = evaluated(a_predictor, a_case, 1, 3, [tool])

    model, baseline = result.runs
    made = [(score.ras, score.positive) for score in model.scores]
    assert [(score.ras, score.positive) for score in baseline.scores] == made
    assert [[(c.ras, c.positive) for c in attended] for attended in tool.attended] == [made[:n] for n in (1, 2, 3)]
    assert (baseline.contender, baseline.clicks_from) == ("ball", "model")


def test_in_their_own_loop_baselines_hear_clicks_on_their_own_errors(a_predictor, a_case):
    tool = BallTool()
    result = evaluated(a_predictor, a_case, 1, 3, [tool], own_clicks=True)

    model, same, own = result.runs
    assert own.clicks_from == "own"
    assert own.scores[0] == pytest.approx(same.scores[0]) or own.scores[0].ras == same.scores[0].ras
    volume, truth = case_volume(a_case), np.ascontiguousarray((a_case.labels == 1).transpose(2, 1, 0))
    mask = BallTool().segment(volume, [Click(own.scores[0].ras)])
    expected = central_click(mask, truth, volume.spacing[::-1])
    assert expected is not None
    assert own.scores[1].ras == pytest.approx(volume.ijk_to_ras_points(expected.voxel[::-1]))
    assert own.scores[0].dice == pytest.approx(dice(mask, truth))


def test_once_nothing_is_wrong_the_scores_stay_and_no_click_is_made(a_predictor, a_case):
    truth = np.ascontiguousarray((a_case.labels == 1).transpose(2, 1, 0))

    class Oracle(BallTool):
        def segment(self, volume, clicks):
            return truth.copy()

    _, _, own = evaluated(a_predictor, a_case, 1, 3, [Oracle()], own_clicks=True).runs
    assert own.dice == [1, 1, 1]
    assert own.nsd == [1, 1, 1]
    assert [score.ras is None for score in own.scores] == [False, True, True]
    assert own.scores[1].milliseconds is None


def test_a_contender_that_fails_keeps_its_last_mask_and_the_others_go_on(a_predictor, a_case):
    broken, sound = BallTool(fails_at=2), BallTool()
    _, failed, whole = evaluated(a_predictor, a_case, 1, 3, [broken, sound]).runs
    assert failed.failure == "RuntimeError: the ball burst"
    assert failed.dice == [whole.dice[0]] * 3
    assert whole.failure is None and whole.dice[2] != whole.dice[0]


def test_a_model_that_fails_at_its_first_click_scores_nothing(a_predictor, a_case):
    a_predictor.network.fail_at = 1
    tool = BallTool()
    model, baseline = evaluated(a_predictor, a_case, 1, 3, [tool]).runs
    assert model.failure is not None and model.dice == [0, 0, 0]
    assert len(tool.attended) == 1  # the user had made that one click
    assert baseline.dice[0] > 0 and baseline.dice == [baseline.dice[0]] * 3


def test_what_goes_wrong_outside_of_contenders_fails_the_structure_alone(a_predictor, a_case, monkeypatch):
    def refuse(mask, truth, spacing):
        raise ValueError("no place to click")

    monkeypatch.setattr("MemorizingSAM3DLib.learning.evaluation.evaluate.central_click", refuse)
    found = list(evaluate_case(a_predictor, a_case, [1, 2], EvaluationOptions(clicks=2)))
    assert found == [
        Failure("made/one", "made", label, None, "ValueError: no place to click") for label in (1, 2)
    ]  # fmt: skip


def test_a_scan_that_cannot_be_segmented_fails_the_case_in_plain_words(a_predictor, a_case):
    constant = Case("made/one", "made", "CT", np.zeros_like(a_case.image), a_case.labels, (2.0, 2.0, 2.5), {1: "block"})
    (failure,) = evaluate_case(a_predictor, constant, [1], EvaluationOptions())
    assert isinstance(failure, Failure)
    assert failure.label is None and "Error" not in failure.message


def test_small_structures_are_left_out(a_case):
    labels = a_case.labels.copy()
    labels[0, 0, :9] = 3
    case = Case("a/b", "a", "CT", a_case.image, labels, a_case.spacing, {1: "one", 2: "two", 3: "speck"})
    assert evaluated_labels(case, 1, EvaluationOptions()) == [1, 2]
    assert evaluated_labels(case, 1, EvaluationOptions(minimum_ml=0.09)) == [1, 2, 3]
    assert evaluated_labels(case, 1, EvaluationOptions(minimum_ml=19.0)) == [1]


def test_some_structures_are_drawn_by_the_seed_and_the_number_of_the_case(a_case):
    labels = np.zeros(a_case.labels.shape, np.uint8)
    for label in range(1, 9):
        labels[(label - 1) * 5 : label * 5] = label
    case = Case("a/b", "a", "CT", a_case.image, labels, a_case.spacing, {label: str(label) for label in range(1, 9)})

    def drawn(number: int, seed: int) -> tuple[int, ...]:
        return tuple(evaluated_labels(case, number, EvaluationOptions(labels_per_case=3, seed=seed)))

    assert drawn(1, 0) == drawn(1, 0)
    assert all(len(set(drawn(number, 0))) == 3 for number in range(5))
    assert len({drawn(number, 0) for number in range(8)}) > 3
    assert len({drawn(1, seed) for seed in range(8)}) > 3
    assert evaluated_labels(case, 1, EvaluationOptions(labels_per_case=8)) == list(range(1, 9))


@pytest.fixture(scope="module")
def a_model_of_version_5() -> Predictor:
    """Knows boxes and lassos; random weights."""
    torch.manual_seed(5)
    config = full_grid_config(
        image_size=32, width=24, heads=2, depth=2, attention_from=1, embedding_channels=24, decoder_heads=2,
        decoder_mlp=32, stem_channels=(8, 8, 8), upscale_channels=(8, 8), refine_blocks=(1, 1), token_blocks=1,
    )  # fmt: skip
    return Predictor(build_network(config))


@pytest.mark.parametrize("start", ["point", "box", "flat-box", "scribble", "lasso"])
def test_a_structure_begins_with_the_prompt_that_was_asked_for_and_points_follow(a_model_of_version_5, a_case, start):
    tool = BallTool()
    model, baseline = evaluated(a_model_of_version_5, a_case, 1, 3, [tool], start=start).runs
    assert model.failure is None
    assert [score.kind for score in model.scores] == [start, "point", "point"]
    assert [score.kind for score in baseline.scores] == [start, "point", "point"]
    assert [score.ras for score in baseline.scores] == [score.ras for score in model.scores]
    assert all(click.positive for click in tool.attended[0])
    assert (len(tool.attended[0]) > 1) == (start == "scribble")
    assert [len(attended) - len(tool.attended[0]) for attended in tool.attended] == [0, 1, 2]
    assert model.scores[0].positive and model.scores[0].milliseconds is not None


def test_a_box_and_a_lasso_are_one_point_in_their_middle_to_a_baseline(a_model_of_version_5, a_case):
    for start in ("box", "lasso"):
        tool = BallTool()
        model, _ = evaluated(a_model_of_version_5, a_case, 1, 1, [tool], start=start).runs
        assert [click.ras for click in tool.attended[0]] == [model.scores[0].ras]


def test_the_box_alone_is_the_sessions_mask_of_that_box(a_model_of_version_5, a_case):
    from MemorizingSAM3DLib.engine.session.session import InteractiveSession

    (run,) = evaluated(a_model_of_version_5, a_case, 1, 1, start="box").runs
    session = InteractiveSession(a_model_of_version_5)
    session.set_image(case_volume(a_case))
    # The block of [5, 17) x [6, 20) x [8, 20) voxels of 2 x 2 x 2.5 mm.
    session.add_box((9, 11, 18.75), (33, 39, 48.75))
    truth = np.ascontiguousarray((a_case.labels == 1).transpose(2, 1, 0))
    assert run.dice == [pytest.approx(dice(session.mask, truth))]


def test_a_model_that_knows_no_boxes_fails_at_one_in_plain_words_and_baselines_go_on(a_predictor, a_case):
    model, baseline = evaluated(a_predictor, a_case, 1, 2, [BallTool()], start="box").runs
    assert model.failure is not None and "points and scribbles alone" in model.failure
    assert [score.kind for score in model.scores] == ["box", None]
    assert baseline.failure is None and baseline.dice[0] > 0


def test_a_scribble_is_understood_by_every_model(a_predictor, a_case):
    (run,) = evaluated(a_predictor, a_case, 1, 2, start="scribble").runs
    assert run.failure is None and run.dice[0] > 0


def test_in_their_own_loop_baselines_begin_with_the_same_prompt(a_model_of_version_5, a_case):
    tool = BallTool()
    _, same, own = evaluated(a_model_of_version_5, a_case, 1, 2, [tool], start="lasso", own_clicks=True).runs
    assert own.scores[0].kind == "lasso" and own.scores[0].ras == same.scores[0].ras


def test_the_bare_network_hears_a_box_if_it_was_trained_with_boxes(a_model_of_version_5, a_predictor, a_case):
    (run,) = evaluated(a_model_of_version_5, a_case, 1, 2, start="box", bare=True).runs
    assert run.failure is None
    (run,) = evaluated(a_predictor, a_case, 1, 2, start="box", bare=True).runs
    assert run.failure is not None and "points and scribbles alone" in run.failure


@pytest.mark.parametrize("start", ["point", "box"])
def test_points_follow_the_challenges_rule_where_its_protocol_is_asked_for(a_predictor, a_case, start):
    shown: list[np.ndarray] = []
    volume, truth = case_volume(a_case), np.ascontiguousarray((a_case.labels == 1).transpose(2, 1, 0))

    class Watched(BallTool):
        def segment(self, volume, clicks):
            shown.append(super().segment(volume, clicks))
            return shown[-1]

    runs = evaluated(a_predictor, a_case, 1, 3, [Watched()], own_clicks=True, protocol="cvpr25", start=start).runs
    own = runs[2]
    masks = [np.zeros_like(truth), *shown[-3:]] if start == "point" else [None, *shown[-3:]]
    for mask, score in zip(masks, own.scores, strict=False):
        if mask is not None:
            expected = challenge_click(mask, truth)
            assert expected is not None
            assert score.ras == pytest.approx(volume.ijk_to_ras_points(expected.voxel[::-1]))
            assert score.positive == expected.positive


def test_the_case_says_its_kind_of_scan(a_predictor, a_case):
    assert evaluated(a_predictor, a_case, 1, 1).modality == "CT"
