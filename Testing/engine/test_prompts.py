"""The history of prompts is a value: every edit gives a new one, and undo and redo only move along it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.prompts import Click, MemorySettings, PromptHistory, Prompts

A, B, C = Click((1.0, 2.0, 3.0)), Click((4.0, 5.0, 6.0), positive=False), Click((7.0, 8.0, 9.0))


def history_of(*clicks: Click) -> PromptHistory:
    history = PromptHistory()
    for click in clicks:
        history = history.with_click(click)
    return history


def test_a_new_history_is_empty_and_has_nothing_to_undo_or_redo():
    history = PromptHistory()
    assert history.current == Prompts()
    assert not history.can_undo
    assert not history.can_redo
    assert history.undone() == history.redone() == history


def test_clicks_keep_their_order():
    assert history_of(A, B, C).current.clicks == (A, B, C)


def test_a_click_can_be_changed_in_its_place():
    assert history_of(A, B, A).with_changed_click(1, C).current.clicks == (A, C, A)


def test_a_click_can_be_removed_from_the_middle():
    assert history_of(A, B, C).without_click(1).current.clicks == (A, C)


def test_an_edit_leaves_the_history_it_came_from_alone():
    before = history_of(A, B)
    before.with_click(C)
    before.without_click(0)
    before.undone()
    assert before.current.clicks == (A, B)
    assert before.can_undo


def test_an_edit_after_undo_forgets_what_was_undone():
    history = history_of(A, B).undone().with_click(C)
    assert history.current.clicks == (A, C)
    assert not history.can_redo
    assert history.undone().current.clicks == (A,)


@pytest.mark.parametrize("number", [-1, 2, 7])
def test_a_click_that_does_not_exist_is_refused(number):
    with pytest.raises(IndexError, match=f"no click {number}"):
        history_of(A, B).without_click(number)
    with pytest.raises(IndexError, match=f"no click {number}"):
        history_of(A, B).with_changed_click(number, C)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["add", "remove", "change", "undo", "redo"]), max_size=30), st.randoms())
def test_undo_and_redo_walk_the_states_as_two_stacks_would(edits, random):
    history, past, present, future = PromptHistory(), [], (), []
    for number, edit in enumerate(edits):
        click = Click((float(number), 0.0, 0.0), random.random() < 0.5)
        if edit == "undo":
            history = history.undone()
            if past:
                future.append(present)
                present = past.pop()
        elif edit == "redo":
            history = history.redone()
            if future:
                past.append(present)
                present = future.pop()
        elif edit == "add" or present:
            at = random.randrange(len(present)) if present else 0
            past, future = [*past, present], []
            if edit == "add":
                history, present = history.with_click(click), (*present, click)
            elif edit == "remove":
                history, present = history.without_click(at), (*present[:at], *present[at + 1 :])
            else:
                history = history.with_changed_click(at, click)
                present = (*present[:at], click, *present[at + 1 :])
        assert history.current.clicks == present
        assert (history.can_undo, history.can_redo) == (bool(past), bool(future))


BEFORE, NOW = MemorySettings(60, "some cases"), MemorySettings(None, None)
clicks_of = st.lists(st.sampled_from([A, B, C]), max_size=5).map(tuple)


def test_clicks_that_were_made_before_keep_what_they_listened_to():
    before = Prompts(0, (A, B), (BEFORE, BEFORE))
    assert Prompts(0, (A, B, C)).made_after(before, NOW).memory_settings == (BEFORE, BEFORE, NOW)
    assert Prompts(0, (A,)).made_after(before, NOW).memory_settings == (BEFORE,)


def test_clicks_after_one_that_changed_are_made_anew():
    before = Prompts(0, (A, B, C), (BEFORE,) * 3)
    assert Prompts(0, (A, C)).made_after(before, NOW).memory_settings == (BEFORE, NOW)
    assert Prompts(0, (C, B, A)).made_after(before, NOW).memory_settings == (NOW,) * 3


def test_from_another_start_all_clicks_are_made_anew():
    assert Prompts(1, (A,)).made_after(Prompts(0, (A,), (BEFORE,)), NOW).memory_settings == (NOW,)


@given(old=clicks_of, new=clicks_of)
def test_every_click_knows_what_it_listens_to(old, new):
    before = Prompts(0, old).made_after(Prompts(), BEFORE)
    after = Prompts(0, new).made_after(before, NOW)
    assert len(after.memory_settings) == len(after.clicks)
    assert after.made_after(after, BEFORE) == after


def test_an_edit_of_a_history_can_be_told_what_it_listens_to():
    history = PromptHistory().with_click(A).made_under(Prompts(), BEFORE)
    again = history.with_click(B).made_under(history.current, NOW)
    assert again.current.memory_settings == (BEFORE, NOW)
    assert again.undone().current == history.current
