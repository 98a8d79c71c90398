from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.prompts import Click, Prompts
from MemorizingSAM3DLib.scene.edit_history import Edit, EditHistory, describedFor, describeEdit
from MemorizingSAM3DLib.scene.segments import addSegment

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
