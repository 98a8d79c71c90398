from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.session.locate_structure import Proposer, lattice
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from Testing.engine.phantoms import LEFT_HANDED, ball, ct_of, either, ras_of_voxels
from Testing.engine.small_retrievals import CPU, BlindNetwork, a_predictor, remember_in

COUNTS, SPACING = (44, 44, 44), 2.0
LEFT = ball(12, (-16, 4, 0))
RIGHT = either(ball(9, (18, -4, 2)), ball(9, (18, 8, 2)))
BODY = either(LEFT, RIGHT)


@pytest.fixture
def a_knowing_predictor(tmp_path):
    """Remembers both structures of a scan."""
    return _knowing(tmp_path, middle=0.3)


@pytest.fixture
def a_careful_predictor(tmp_path):
    """The same, but no likeness convinces it."""
    return _knowing(tmp_path, middle=2.0)


def _knowing(folder, middle):
    volume, _ = ct_of(BODY, COUNTS, SPACING)
    predictor = a_predictor(folder, middle=middle)
    for name, shape in (("Left Ball", LEFT), ("right thing", RIGHT)):
        remember_in(predictor, volume, _truth(volume, shape), name)
    return predictor


def _truth(volume, shape):
    return shape(ras_of_voxels(volume))


def a_moved_scan(shift=(25.0, -18.0, 12.0), directions=None):
    """The same body, elsewhere in a larger scan."""
    return ct_of(lambda ras: BODY(ras - np.array(shift)), (80, 80, 80), SPACING, directions)[0]


@pytest.mark.parametrize("directions", [None, LEFT_HANDED])
@pytest.mark.parametrize(("name", "shape"), [("Left Ball", LEFT), ("RIGHT THING ", RIGHT)])
def test_a_remembered_structure_is_found_without_a_click(a_knowing_predictor, name, shape, directions):
    shift = (25.0, -18.0, 12.0)
    a_knowing_predictor.set_volume(a_moved_scan(shift, directions))
    found = Proposer(a_knowing_predictor).propose(name)
    assert found is not None and found.structure.casefold() == name.strip().casefold()
    assert shape(np.array(found.ras) - shift)
    assert 0.45 <= found.probability <= 1


def test_a_place_that_is_not_alike_enough_is_not_proposed(a_careful_predictor):
    a_careful_predictor.set_volume(a_moved_scan())
    assert Proposer(a_careful_predictor).propose("Left Ball") is None


def test_a_place_that_the_memory_would_call_something_else_is_not_proposed(a_knowing_predictor):
    a_knowing_predictor.set_volume(a_moved_scan())
    # The same place under another name, by which the memory's votes are divided.
    for name in ("twin", "triplet"):
        remember_in(a_knowing_predictor, *_with_mask(LEFT), name)
    a_knowing_predictor.set_volume(a_moved_scan())
    assert Proposer(a_knowing_predictor).propose("Left Ball") is None


def _with_mask(shape):
    # Another scan with nearly the same voxels: a case of the same content is not remembered twice.
    volume, _ = ct_of(BODY, COUNTS, SPACING, levels=(-195, 276))
    return volume, _truth(volume, shape)


def test_progress_rises_to_the_whole(a_knowing_predictor):
    a_knowing_predictor.set_volume(a_moved_scan())
    told: list[float] = []
    Proposer(a_knowing_predictor).propose("Left Ball", told.append)
    assert told == sorted(told) and 0 < told[0] < told[-1] <= 1.0


def test_a_further_structure_of_the_scan_costs_few_crops_and_clicks_keep_theirs(a_knowing_predictor):
    volume = a_moved_scan()
    a_knowing_predictor.set_volume(volume)
    session = InteractiveSession(a_knowing_predictor)
    session.set_image(volume)
    kept = a_knowing_predictor.cached_bytes
    proposer = Proposer(a_knowing_predictor)
    proposer.propose("Left Ball")
    first = a_knowing_predictor.encodes
    proposer.propose("right thing")
    assert a_knowing_predictor.encodes - first < 0.7 * first
    assert a_knowing_predictor.cached_bytes <= kept + 2 * 10_000_000  # the crops of the two places that were found


def test_another_scan_is_looked_through_anew(a_knowing_predictor):
    proposer = Proposer(a_knowing_predictor)
    for shift in ((25.0, -18.0, 12.0), (-20.0, 10.0, -15.0)):
        a_knowing_predictor.set_volume(a_moved_scan(shift))
        found = proposer.propose("Left Ball")
        assert found is not None and LEFT(np.array(found.ras) - shift)


def test_a_scan_that_was_closed_is_not_kept(a_knowing_predictor):
    proposer, volume = Proposer(a_knowing_predictor), a_moved_scan()
    a_knowing_predictor.set_volume(volume)
    proposer.propose("Left Ball")
    gone = weakref.ref(volume)
    a_knowing_predictor.forget_volume()
    del volume
    gc.collect()
    assert gone() is None


def test_without_a_memory_or_a_case_of_that_name_it_is_said(a_knowing_predictor):
    a_knowing_predictor.set_volume(a_moved_scan())
    with pytest.raises(EngineError, match="'spleen'"):
        Proposer(a_knowing_predictor).propose("spleen")
    plain = Predictor(BlindNetwork(), CPU)
    plain.set_volume(a_moved_scan())
    with pytest.raises(EngineError, match="No case memory is in use"):
        Proposer(plain).propose("Left Ball")


def test_cases_of_other_modalities_are_not_looked_for(a_knowing_predictor):
    a_knowing_predictor.set_volume(ct_of(BODY, COUNTS, SPACING, modality="MR")[0])
    with pytest.raises(EngineError, match="of this kind of scan"):
        Proposer(a_knowing_predictor).propose("Left Ball")


def test_a_proposal_is_a_click_that_can_be_undone(a_knowing_predictor):
    session = InteractiveSession(a_knowing_predictor)
    session.set_image(a_moved_scan())
    found = session.propose("Left Ball")
    assert found is not None and session.clicks[0].ras == found.ras and session.clicks[0].positive
    assert session.mask.any()
    session.undo()
    assert not session.clicks and not session.mask.any()


def test_without_a_proposal_nothing_changes(a_careful_predictor):
    session = InteractiveSession(a_careful_predictor)
    session.set_image(a_moved_scan())
    assert session.propose("Left Ball") is None
    assert not session.clicks and not session.can_undo


def test_the_lattice_covers_what_can_be_seen_and_leaves_the_air_out():
    volume, _ = ct_of(lambda ras: ras[..., 0] > 0, (100, 100, 60), SPACING)
    places = np.array(lattice(volume, 40.0))
    assert (places[:, 0] > -25).all()
    inside = np.array([[90.0, 90.0, 50.0], [10.0, 0.0, 0.0], [50.0, -90.0, -50.0]])
    nearest = np.abs(places[None] - inside[:, None]).max(2).min(1)
    assert (nearest <= 40.0 / 2 * 1.25).all()


def test_a_tiny_scan_has_one_place():
    volume, _ = ct_of(ball(8), (10, 10, 10), SPACING)
    assert len(lattice(volume, 40.0)) == 1
