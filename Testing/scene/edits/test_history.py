from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.errors import OutputError, VolumeError
from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.engine.geometry.packed_mask import PackedMask
from MemorizingSAM3DLib.engine.prompts import Click, Prompts
from MemorizingSAM3DLib.scene.compute.engine_thread import ComputedMask, Inference
from MemorizingSAM3DLib.scene.compute.model_choice import ModelChoice
from MemorizingSAM3DLib.scene.edits.history import Edit, EditHistory, SegmentStates, describedFor, describeEdit
from MemorizingSAM3DLib.scene.edits.segment_record import SegmentRecord, digestOf
from MemorizingSAM3DLib.scene.scan import gridOf
from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, maskFromSegment
from Testing.scene.others import addWarp, fillBlock

A, B, C = (Click((float(r), 0.0, 0.0)) for r in range(3))
TURNED = Click(A.ras, positive=False)


@st.composite
def histories(draw):
    """What any user can bring about: per segment, each edit begins where the one before it ended."""
    history, now = EditHistory(), {"first": Prompts(), "second": Prompts()}
    for number, what in enumerate(draw(st.lists(st.sampled_from(["first", "second", "undo", "redo"]), max_size=20))):
        if what == "undo" and history.toUndo is not None:
            now[history.toUndo.segmentID] = history.toUndo.before
            history = history.undone()
        elif what == "redo" and history.toRedo is not None:
            now[history.toRedo.segmentID] = history.toRedo.after
            history = history.redone()
        elif what in now:
            after = Prompts(0, (*now[what].clicks, Click((float(number), 0.0, 0.0))))
            history = history.edited(Edit(what, now[what], after, "Add point"))
            now[what] = after
    return history, now


def statesOf(history, segmentID):
    return [edit.after for edit in history.edits[: history.position] if edit.segmentID == segmentID]


@given(histories())
def test_undo_and_redo_are_each_others_inverse(given_):
    history, _ = given_
    if history.toUndo is not None:
        assert history.undone().redone() == history
    if history.toRedo is not None:
        assert history.redone().undone() == history


@given(histories())
def test_the_last_edit_of_a_segment_leads_to_what_it_is(given_):
    history, now = given_
    for segmentID, prompts in now.items():
        assert ([Prompts()] + statesOf(history, segmentID))[-1] == prompts


@given(histories())
def test_going_back_to_the_beginning_and_forward_again_changes_nothing(given_):
    history, _ = given_
    walked = history
    for _ in history.edits:
        walked = walked.undone()
    assert walked.position == 0
    assert walked.toUndo is None
    for _ in history.edits:
        walked = walked.redone()
    assert walked.toRedo is None
    assert walked.edits == history.edits


@given(histories())
def test_a_new_edit_forgets_what_had_been_undone_and_nothing_else(given_):
    history, now = given_
    edit = Edit("first", now["first"], Prompts(5), "Change by hand")
    after = history.edited(edit)
    assert after.edits == (*history.edits[: history.position], edit)
    assert after.toUndo is edit
    assert after.toRedo is None


@given(histories())
def test_without_a_segment_the_edits_of_the_other_stay_in_their_order(given_):
    history, now = given_
    left = history.withoutSegment("first")
    assert [edit.segmentID for edit in left.edits] == ["second"] * len(left.edits)
    assert statesOf(left, "second") == statesOf(history, "second")
    assert ([Prompts()] + statesOf(left, "second"))[-1] == now["second"]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ((), (A,), "Add point"),
        ((A,), (A, B, C), "Add points"),
        ((A, B), (A,), "Delete point"),
        ((A,), (), "Delete point"),
        ((A, B), (), "Clear points"),
        ((A, B, C), (A,), "Delete points"),
        ((A, B), (C, B), "Move point"),
        ((A, B), (TURNED, B), "Turn point"),
        ((A, B), (B, A), "Change points"),
    ],
)
def test_an_edit_is_described_by_what_happened_to_the_points(before, after, text):
    assert describeEdit(Prompts(0, before), Prompts(0, after)) == text


def test_another_start_is_a_change_by_hand():
    assert describeEdit(Prompts(0, (A,)), Prompts(3)) == "Change by hand"


def test_an_edit_is_told_with_the_name_of_its_segment(a_segmentation_node):
    liver = addSegment(a_segmentation_node, "Liver")
    edit = Edit(liver, Prompts(), Prompts(0, (A,)), "Add point")

    assert describedFor(edit, a_segmentation_node) == "Add point (Liver)"
    assert describedFor(None, a_segmentation_node) == describedFor(edit, None) == ""
    a_segmentation_node.GetSegmentation().RemoveSegment(liver)
    assert describedFor(edit, a_segmentation_node) == ""


SHAPE = (16, 14, 12)
WHOLE = Box.whole(SHAPE)


@pytest.fixture
def a_segment(a_segmentation_node):
    return addSegment(a_segmentation_node, "ours")


@pytest.fixture
def states(a_segmentation_node, a_segment, a_volume_node):
    inference = Inference(ModelChoice())
    yield SegmentStates(a_segmentation_node, a_volume_node, inference, "a model")
    inference.close()


@pytest.fixture
def a_click(an_oblique_matrix):
    r, a, s = (an_oblique_matrix @ (6.0, 7.0, 8.0, 1.0))[:3].tolist()
    return Click((r, a, s))


def block(low, high):
    mask = np.zeros(SHAPE, bool)
    mask[low:high, 3:9, 2:8] = True
    return mask


def computed(mask, shown):
    packed = PackedMask.of(mask, WHOLE)
    box = packed.difference_box(shown)
    return ComputedMask(packed, shown, box, packed.within(box))


def write(states, segmentID, mask, prompts):
    states.of(segmentID).prompts = prompts or states.of(segmentID).prompts
    states.write(segmentID, computed(mask, states.of(segmentID).written), prompts)


def again(states):
    """As on another day: what is known is what the scene holds."""
    return SegmentStates(states.segmentationNode, states.volumeNode, states._inference, states._model)


def test_a_new_segment_starts_from_nothing(states, a_segment):
    state = states.of(a_segment)

    assert state.prompts == state.committed == Prompts()
    assert state.written.is_empty
    assert states.known() == {a_segment}
    assert states.unfinished() == {}


def test_a_drawn_segment_starts_from_what_is_drawn(states, a_segment, a_segmentation_node, a_volume_node):
    fillBlock(a_segmentation_node, a_segment, a_volume_node)
    state = states.of(a_segment)

    assert state.prompts == Prompts(1)
    drawn = maskFromSegment(a_segmentation_node, a_segment, a_volume_node)
    assert (states._inference.starts[1].within(WHOLE) == drawn).all()


def test_what_is_written_is_in_the_segment_with_a_record_of_the_clicks(
    states, a_segment, a_segmentation_node, a_volume_node, a_click
):
    write(states, a_segment, block(4, 9), Prompts(0, (a_click,)))

    assert (maskFromSegment(a_segmentation_node, a_segment, a_volume_node) == block(4, 9)).all()
    record = SegmentRecord.readFrom(a_segmentation_node.GetSegmentation().GetSegment(a_segment))
    written = PackedMask.of(block(4, 9), WHOLE)
    assert record == SegmentRecord((a_click,), True, "a model", digestOf(written), gridOf(a_volume_node))
    assert states.unfinished() == {}
    assert again(states).of(a_segment).prompts.clicks == (a_click,)


def test_a_preview_is_in_the_segment_but_not_achieved(states, a_segment, a_segmentation_node, a_volume_node, a_click):
    write(states, a_segment, block(4, 9), Prompts(0, (a_click,)))
    before = states.of(a_segment).committed
    write(states, a_segment, block(5, 12), None)

    assert (maskFromSegment(a_segmentation_node, a_segment, a_volume_node) == block(5, 12)).all()
    assert states.of(a_segment).committed == before
    assert states.foundChanged(a_segment) is None


def test_clicks_that_wait_for_their_mask_are_unfinished(states, a_segment, a_click):
    states.of(a_segment).prompts = Prompts(0, (a_click,))

    assert states.unfinished() == {a_segment: states.of(a_segment)}


@pytest.mark.parametrize("spoiled", ["voxels", "model", "start", "grid", "outside"])
def test_a_record_that_does_not_hold_any_more_leaves_what_the_segment_is_as_the_start(
    states, a_segment, a_segmentation_node, a_volume_node, a_click, spoiled
):
    write(states, a_segment, block(4, 9), Prompts(0, (a_click,)))
    segment = a_segmentation_node.GetSegmentation().GetSegment(a_segment)
    record = SegmentRecord.readFrom(segment)
    if spoiled == "voxels":
        fillBlock(a_segmentation_node, a_segment, a_volume_node)
    else:
        replace(record, **{
            "model": {"model": "another"},
            "start": {"fromNothing": False},
            "grid": {"grid": (*record.grid[:-1], record.grid[-1] + 1)},
            "outside": {"clicks": (Click((1e4, 0.0, 0.0)),)},
        }[spoiled]).writeTo(segment)  # fmt: skip
    state = again(states).of(a_segment)

    assert state.prompts.clicks == ()
    assert state.prompts.start > 0
    assert state.restored is None


def test_a_change_by_others_is_found_once_and_its_own_writing_never(
    states, a_segment, a_segmentation_node, a_volume_node, a_click
):
    write(states, a_segment, block(4, 9), Prompts(0, (a_click,)))
    assert states.foundChanged(a_segment) is None
    fillBlock(a_segmentation_node, a_segment, a_volume_node)
    found = states.foundChanged(a_segment)
    assert found is not None
    assert found.clicks == ()
    assert states.foundChanged(a_segment) is None
    assert states.of(a_segment).prompts.clicks == (a_click,)


def test_a_neighbour_that_is_written_into_the_shared_labelmap_is_no_change(states, a_segment, a_segmentation_node):
    other = addSegment(a_segmentation_node, "neighbour")
    write(states, a_segment, block(4, 9), Prompts())
    write(states, other, block(10, 14), Prompts())
    a_segmentation_node.GetSegmentation().CollapseBinaryLabelmaps(False)

    assert states.foundChanged(a_segment) is None
    assert states.foundChanged(other) is None


def test_a_change_that_cannot_be_read_is_not_forgotten(states, a_segment, a_segmentation_node, a_volume_node):
    write(states, a_segment, block(4, 9), Prompts())
    fillBlock(a_segmentation_node, a_segment, a_volume_node)
    a_volume_node.SetAndObserveTransformNodeID(addWarp().GetID())
    for _ in range(2):
        with pytest.raises(VolumeError, match="non-linear"):
            states.foundChanged(a_segment)
    a_volume_node.SetAndObserveTransformNodeID(None)

    assert states.foundChanged(a_segment) is not None


def test_what_masking_refuses_is_not_held(states, a_segment, a_segmentation_node, a_volume_node):
    from MemorizingSAM3DLib.scene.segments.segmentation import setLocked

    neighbour = addSegment(a_segmentation_node, "locked")
    write(states, neighbour, block(8, 12), Prompts())
    setLocked(a_segmentation_node.GetSegmentation().GetSegment(neighbour), True)
    write(states, a_segment, block(4, 10), Prompts())

    assert (states.of(a_segment).written.within(WHOLE) == block(4, 8)).all()
    assert (maskFromSegment(a_segmentation_node, neighbour, a_volume_node) == block(8, 12)).all()


def test_a_result_for_what_the_segment_was_is_written_onto_what_it_is(
    states, a_segment, a_segmentation_node, a_volume_node
):
    late = computed(block(4, 9), states.of(a_segment).written)
    write(states, a_segment, block(1, 14), Prompts())
    states.write(a_segment, late, Prompts())

    assert (maskFromSegment(a_segmentation_node, a_segment, a_volume_node) == block(4, 9)).all()


def test_a_forgotten_segment_is_read_anew(states, a_segment, a_segmentation_node, a_volume_node):
    states.of(a_segment)
    states.drop(a_segment)
    assert a_segment not in states
    fillBlock(a_segmentation_node, a_segment, a_volume_node)

    assert not states.of(a_segment).written.is_empty
    states.drop("nobody")


def test_a_segment_that_is_not_there_is_refused(states):
    with pytest.raises(OutputError, match="no longer"):
        states.of("nobody")
    assert "nobody" not in states
