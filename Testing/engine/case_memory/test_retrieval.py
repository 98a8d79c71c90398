from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.case_memory.case import CaseFacts
from MemorizingSAM3DLib.engine.case_memory.retrieval import AGREED, TRUSTED_APART, ShapePrior
from MemorizingSAM3DLib.engine.case_memory.shape_prior import StructureShape
from MemorizingSAM3DLib.engine.geometry import CropGrid
from Testing.engine.phantoms import BRIGHT_HU, DARK_HU, LEFT_HANDED, ball, ct_of, dice, either, ras_of_voxels
from Testing.engine.small_retrievals import a_calibration, a_predictor, features_of, remember_in

COUNTS, SPACING = (44, 44, 44), 2.0
LEFT = ball(12, (-16, 4, 0))
RIGHT = either(ball(9, (18, -4, 2)), ball(9, (18, 8, 2)))


@pytest.fixture
def both(tmp_path):
    """A predictor that remembers two structures of a scan, and that scan."""
    volume, truth = ct_of(either(LEFT, RIGHT), COUNTS, SPACING)
    predictor = a_predictor(tmp_path)
    ras = ras_of_voxels(volume)
    remember_in(predictor, volume, truth & LEFT(ras), "Left Ball")
    remember_in(predictor, volume, truth & RIGHT(ras), "right thing")
    return predictor, volume


def asked(predictor, volume, ras, modality=None):
    return predictor.case_retrieval.retrieve_shape_prior(features_of(predictor, volume, ras), ras, modality)


def test_an_empty_memory_says_nothing(tmp_path):
    volume, _ = ct_of(LEFT, COUNTS, SPACING)
    assert asked(a_predictor(tmp_path), volume, (-16.0, 4.0, 0.0)) is None


@pytest.mark.parametrize(
    ("ras", "name", "form"), [((-16.0, 4.0, 0.0), "Left Ball", LEFT), ((18.0, 2.0, 2.0), "right thing", RIGHT)]
)
def test_a_click_on_a_remembered_scan_gives_the_structure_back_at_its_place(both, ras, name, form):
    predictor, volume = both
    found = asked(predictor, volume, ras)
    assert found.structure == name and 0.5 <= found.probability <= 1
    grid = CropGrid((0.0, 0.0, 0.0), 1.5, 64)
    truth = form(grid.index_to_ras(np.indices((64,) * 3).reshape(3, -1).T)).reshape((64,) * 3)
    assert dice(found.occupancy(grid) > 0.5, truth) > 0.75
    low, high = found.extent()
    assert (low < ras).all() and (high > ras).all() and (high - low).max() < 45


@settings(max_examples=12, deadline=None)
@given(st.tuples(*[st.floats(-12, 12)] * 3), st.sampled_from([None, LEFT_HANDED]))
def test_what_is_remembered_in_one_place_is_found_in_another(tmp_path_factory, shift, directions):
    # The same body, lying elsewhere in a scan of other axes: the shape follows the click.
    first, mask = ct_of(RIGHT, COUNTS, SPACING)
    predictor = a_predictor(tmp_path_factory.mktemp("memory"), middle=0.3)
    remember_in(predictor, first, mask, "thing")
    moved = lambda ras: RIGHT(ras - np.array(shift))  # noqa: E731
    second, truth = ct_of(moved, (64, 64, 64), SPACING, directions)
    shape, centre = StructureShape.of(second, truth)
    r, a, s = (centre + shape.anchors[0]).tolist()
    found = asked(predictor, second, (r, a, s))
    assert found is not None and found.structure == "thing"
    grid = CropGrid.around(np.array(shift) + (18, 2, 2), 1.5, 40)
    wanted = moved(grid.index_to_ras(np.indices((40,) * 3).reshape(3, -1).T)).reshape((40,) * 3)
    assert dice(found.occupancy(grid) > 0.5, wanted) > 0.6


def test_only_cases_of_the_structure_that_is_known_are_asked(both):
    predictor, volume = both
    predictor.case_retrieval.structure = "RIGHT THING "
    assert asked(predictor, volume, (18.0, 2.0, 2.0)).structure == "right thing"
    predictor.case_retrieval.structure = "spleen"
    assert asked(predictor, volume, (18.0, 2.0, 2.0)) is None


def test_cases_of_a_structure_can_be_passed_over(both):
    predictor, volume = both
    before = predictor.settings
    predictor.case_retrieval.excluded = "right Thing"
    (match,) = predictor.case_retrieval.matches(features_of(predictor, volume, (18.0, 2.0, 2.0)))
    assert predictor.case_retrieval.memory.cases[match.case].facts.structure == "Left Ball"
    assert predictor.settings != before


def test_cases_of_another_modality_are_passed_over_and_those_of_none_are_not(both):
    predictor, volume = both
    assert asked(predictor, volume, (18.0, 2.0, 2.0), "CT") is not None
    assert asked(predictor, volume, (18.0, 2.0, 2.0), "MR") is None
    unknown, truth = ct_of(RIGHT, COUNTS, SPACING, modality="US")
    remember_in(predictor, unknown, truth, "ultrasound thing")
    assert asked(predictor, volume, (18.0, 2.0, 2.0), "MR") is None
    memory = predictor.case_retrieval.memory
    (case,) = (case.id for case in memory.cases if case.facts.structure == "right thing")
    memory.add(memory.arrays(case), CaseFacts("seen on something"))
    assert asked(predictor, volume, (18.0, 2.0, 2.0), "MR").structure == "seen on something"


def test_what_is_not_like_anything_is_not_heard(both):
    predictor, volume = both
    predictor.case_retrieval.calibration = a_calibration(middle=0.95)
    assert asked(predictor, volume, (-16.0, 4.0, 0.0)) is not None
    other, _ = ct_of(ball(9, (18, 2, 2)), COUNTS, SPACING, levels=(BRIGHT_HU, DARK_HU))
    assert asked(predictor, other, (18.0, 2.0, 2.0)) is None


def test_cases_that_do_not_agree_on_what_they_are_convince_nobody(both):
    predictor, volume = both
    place = (18.0, 2.0, 2.0)
    alone = asked(predictor, volume, place)
    memory = predictor.case_retrieval.memory
    (case,) = (case.id for case in memory.cases if case.facts.structure == "right thing")
    memory.add(memory.arrays(case), CaseFacts("wrong thing"))
    divided = asked(predictor, volume, place)
    assert divided is None or divided.probability < 0.6 * alone.probability
    memory.add(memory.arrays(case), CaseFacts("third thing"))
    assert asked(predictor, volume, place) is None


def test_a_crop_without_anything_to_see_is_like_nothing(both):
    predictor, volume = both
    features = features_of(predictor, volume, (18.0, 2.0, 2.0))
    empty = features._replace(embedding=features.embedding * 0)
    assert predictor.case_retrieval.retrieve_shape_prior(empty, (18.0, 2.0, 2.0)) is None


def test_the_order_of_remembering_does_not_matter_nor_does_remembering_again(both, tmp_path):
    predictor, volume = both
    other = a_predictor(tmp_path / "other")
    ras = ras_of_voxels(volume)
    truth = volume.array > 40
    for form, name in ((RIGHT, "right thing"), (LEFT, "Left Ball"), (RIGHT, "right thing")):
        remember_in(other, volume, truth & form(ras), name)
    assert len(other.case_retrieval.memory) == 2
    features = features_of(predictor, volume, (10.0, 2.0, 2.0))
    assert other.case_retrieval.matches(features) == predictor.case_retrieval.matches(features)


def test_a_case_that_is_removed_was_never_there(both, tmp_path):
    predictor, volume = both
    ras = ras_of_voxels(volume)
    alone = a_predictor(tmp_path / "alone")
    remember_in(alone, volume, (volume.array > 40) & LEFT(ras), "Left Ball")
    features = features_of(predictor, volume, (-16.0, 4.0, 0.0))
    predictor.case_retrieval.matches(features)  # with both
    memory = predictor.case_retrieval.memory
    (gone,) = (case.id for case in memory.cases if case.facts.structure == "right thing")
    memory.remove(gone)
    assert predictor.case_retrieval.matches(features) == alone.case_retrieval.matches(features)


def test_a_case_whose_mask_turns_out_to_be_damaged_is_left_out_and_the_others_answer(both):
    predictor, volume = both
    memory = predictor.case_retrieval.memory
    features = features_of(predictor, volume, (18.0, 2.0, 2.0))
    (case,) = (case.id for case in memory.cases if case.facts.structure == "right thing")
    path = memory.path / f"{case}.safetensors"
    content = bytearray(path.read_bytes())
    place = content.index(memory.arrays(case)["mask"].tobytes())
    content[place + 9] ^= 1
    path.write_bytes(content)
    fresh = type(memory).open(memory.path)
    predictor.case_retrieval.memory = fresh
    found = predictor.case_retrieval.retrieve_shape_prior(features, (18.0, 2.0, 2.0))
    assert found is None or found.structure == "Left Ball"
    assert case in fresh.damaged and len(fresh) == 1


def test_there_are_never_more_matches_than_cases_and_their_weights_add_to_one(both):
    predictor, volume = both
    features = features_of(predictor, volume, (18.0, 2.0, 2.0))
    for neighbours in (1, 2, 50):
        predictor.case_retrieval.neighbours = neighbours
        matches = predictor.case_retrieval.matches(features)
        assert len(matches) == min(neighbours, 2) == len({match.case for match in matches})
        assert sum(match.weight for match in matches) == pytest.approx(1)
        assert [m.cosine for m in matches] == sorted((m.cosine for m in matches), reverse=True)


def test_shapes_of_two_structures_are_not_mixed(both):
    predictor, volume = both
    found = asked(predictor, volume, (18.0, 2.0, 2.0))
    assert len(found.shapes) == len(found.ids) == 1


def test_a_prior_never_forbids():
    volume, mask = ct_of(LEFT, COUNTS, SPACING)
    shape, centre = StructureShape.of(volume, mask)
    found = ShapePrior("", 1.0, ((shape, centre, 1.0),), ("a",))
    logits = found.logits(CropGrid((-16.0, 4.0, 0.0), 2.0, 32))
    assert np.isfinite(logits).all() and np.abs(logits).max() < 8
    assert (logits > 0).any() and (logits < 0).any()


def test_cases_whose_shapes_do_not_agree_have_to_be_more_alike_to_be_heard(tmp_path, monkeypatch):
    """Two cases of one name and the same surroundings: a ball beside the place, and one on the other side."""
    volume, _ = ct_of(either(LEFT, RIGHT), COUNTS, SPACING)
    ras = ras_of_voxels(volume)
    predictor = a_predictor(tmp_path, middle=0.99)  # what is the same is the same structure at 0.6
    shapes = []
    for offset in (-14.0, 14.0):
        mask = ball(10, (offset, 0, 0))(ras)
        shapes.append((StructureShape.of(volume, mask)[0], np.array([offset, 0.0, 0.0]), 0.5))
    apart = ShapePrior("lump", 0.9, tuple(shapes), ("a", "b"))
    alike = ShapePrior("lump", 0.9, (shapes[0], (shapes[0][0], shapes[0][1] + 1, 0.5)), ("a", "b"))
    assert apart.agreement == pytest.approx(0.45, abs=0.06)
    assert apart.agreement < AGREED < alike.agreement
    remember_in(predictor, volume, LEFT(ras), "Left Ball")
    assert asked(predictor, volume, (-16.0, 4.0, 0.0)) is not None
    monkeypatch.setattr(ShapePrior, "agreement", 0.9 * AGREED)
    assert asked(predictor, volume, (-16.0, 4.0, 0.0)) is None
    certain = replace(predictor.case_retrieval.calibration, middle=0.6)
    monkeypatch.setattr(predictor.case_retrieval, "calibration", certain)
    assert asked(predictor, volume, (-16.0, 4.0, 0.0)).probability >= TRUSTED_APART
