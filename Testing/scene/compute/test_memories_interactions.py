from __future__ import annotations

from dataclasses import dataclass

import pytest

from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.scene.compute.model_choice import LoadedModel, ModelChoice
from MemorizingSAM3DLib.scene.edits.segment_record import SegmentRecord
from Testing.engine.small_memories import a_memory, a_network
from Testing.scene.controlled import FIRST, Controlled, addBlocks

PLACES = (FIRST, (9, 12, 16), (12, 11, 12))


@dataclass(frozen=True)
class InteractingModel(ModelChoice):
    """A small native network with an interaction memory that changes every mask."""

    def load(self) -> LoadedModel:
        network = a_network()
        predictor = Predictor(network, choose_runtime("cpu"), interaction_memory=a_memory(network))
        return LoadedModel(predictor, "Small", "CPU (test)", None)


@pytest.fixture
def a_user(a_scene, an_oblique_matrix):
    controlled = Controlled(addBlocks(an_oblique_matrix), InteractingModel())
    yield controlled
    controlled.controller.close()


def clicked(user, number=3):
    """The masks after each click, in a new segment."""
    user.controller.newSegment()
    masks = []
    for kji in PLACES[:number]:
        user.place(kji)
        masks.append(user.mask())
    return masks


def kept(user):
    return user.controller.status.interactions


def test_the_last_clicks_of_the_selected_segment_are_kept(a_user):
    a_user.controller.memories.setInteractions(2)
    numbers = []
    for kji in PLACES:
        a_user.place(kji)
        numbers.append(kept(a_user))

    assert a_user.controller.status.hasInteractionMemory
    assert numbers == [1, 2, 2]
    a_user.controller.newSegment()
    assert kept(a_user) == 0


def test_a_first_click_is_the_same_with_and_without_and_the_next_ones_are_not(a_user):
    on = clicked(a_user)
    a_user.controller.memories.setInteractions(None)
    off = clicked(a_user)

    assert (on[0] == off[0]).all()
    assert (on[1] != off[1]).any()
    assert kept(a_user) == 0


def test_turning_it_off_changes_what_comes_and_not_what_is_there(a_user):
    on = clicked(a_user)
    a_user.controller.undo()
    a_user.settle()
    a_user.controller.memories.setInteractions(None)
    a_user.settle()
    assert (a_user.mask() == on[1]).all()

    a_user.place(PLACES[2])
    assert (a_user.mask() != on[2]).any()
    for mask in (on[1], on[0]):
        a_user.controller.undo()
        a_user.settle()
        assert (a_user.mask() == mask).all()
    a_user.controller.redo()
    a_user.settle()
    assert (a_user.mask() == on[1]).all()


def test_a_saved_segment_goes_on_as_its_clicks_were_made(a_user):
    on = clicked(a_user, 2)
    node, segment = a_user.controller.segmentationNode, a_user.controller.selectedSegmentID
    record = SegmentRecord.readFrom(node.GetSegmentation().GetSegment(segment))
    assert record.listened == ((60, False), (60, False))

    a_user.controller.memories.setInteractions(None)
    a_user.controller.setScan(None)
    a_user.controller.setScan(a_user.volumeNode)
    a_user.controller.setSegmentation(node)
    a_user.controller.selectSegment(segment)
    a_user.settle()
    a_user.place(PLACES[2])
    assert len(a_user.controller.points) == 3
    assert a_user.messages == []
    a_user.controller.undo()
    a_user.settle()
    assert (a_user.mask() == on[1]).all()
