from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.memory.interaction import Interaction, resampled
from MemorizingSAM3DLib.engine.memory.interaction_bank import InteractionBank, known_alone
from MemorizingSAM3DLib.engine.memory.interaction_config import InteractionConfig
from MemorizingSAM3DLib.engine.memory.memory_attention import MemoryStack
from MemorizingSAM3DLib.engine.networks.prompt_encoder import NativePromptEncoder
from MemorizingSAM3DLib.engine.prompts import Click
from Testing.engine.memory.small_memories import (
    ALL_KINDS,
    a_network,
    an_attention,
    an_embedding,
    positions,
    some_interactions,
)
from Testing.engine.small_networks import SMALL_NATIVE

CONFIG = InteractionConfig(16, 4, 2, 8)
ENCODER = NativePromptEncoder(SMALL_NATIVE.with_(image_size=64, embedding_channels=16))
ATTENTION = an_attention(CONFIG)
CROP = CropGrid((10.0, 0.0, -5.0), 1.0, 64)
BESIDE = CropGrid((26.0, 0.0, -5.0), 1.0, 64)  # one cell further
PAST = some_interactions(40, CONFIG, CROP)


def a_bank(size: int = 4, attention=ATTENTION) -> InteractionBank:
    return InteractionBank(attention, ENCODER, size)


def writes_of(bank: InteractionBank, interactions: Sequence[Interaction], grid: CropGrid = CROP) -> int:
    before = bank.writes
    bank.load(interactions, grid)
    return bank.writes - before


def heard(stack: MemoryStack, attention=ATTENTION) -> torch.Tensor:
    return attention(an_embedding(attention.config), stack, positions(attention.config))


def changed(past: Sequence[Interaction], number: int) -> list[Interaction]:
    """Another past from one interaction on: the same numbers, other values."""
    return [
        Interaction(one.number, one.click, one.grid, -one.sparse, one.dense.flip(2)) if one.number >= number else one
        for one in past
    ]


# Size


@pytest.mark.parametrize("size", [0, -1, 257])
def test_a_size_that_cannot_be_is_refused(size):
    with pytest.raises(ValueError, match="1 to 256"):
        a_bank(size)


@pytest.mark.parametrize("size", [1, 256])
def test_the_ends_of_the_range_work(size):
    bank = a_bank(size)
    assert bank.load(PAST[:3], CROP).ages.tolist() == ([0] if size == 1 else [2, 1, 0])


# What a state's stack is


@pytest.mark.parametrize("kinds", ALL_KINDS)
@pytest.mark.parametrize("count", [1, 3, 4, 5, 11])
def test_a_stack_is_that_of_the_last_interactions(kinds, count):
    attention = an_attention(InteractionConfig(16, 4, 2, 8, kinds))
    stack = a_bank(4, attention).load(PAST[:count], CROP)
    kept = [attention.project(one.sparse, one.dense) for one in PAST[:count][-4:]]
    torch.testing.assert_close(heard(stack, attention), heard(attention.stack(kept), attention))
    assert ((stack.sparse is None), (stack.dense is None)) == (kinds == "dense", kinds == "sparse")


def test_an_overflow_drops_the_oldest_only():
    past, result = PAST[:6], heard(a_bank(4).load(PAST[:6], CROP))
    for number in range(6):
        one = past[number]
        other = Interaction(number, one.click, CROP, one.sparse + 1, one.dense.flip(2))
        with_other = heard(a_bank(4).load([*past[:number], other, *past[number + 1 :]], CROP))
        assert torch.equal(with_other, result) == (number < 2)


def test_what_a_state_does_not_remember_is_hidden():
    """After a bank of 3 was made larger, a state has 3 memories although 7 clicks came before."""
    kept = PAST[7:10]
    alone = ATTENTION.stack([ATTENTION.project(one.sparse, one.dense) for one in kept])
    bank = a_bank(8)
    torch.testing.assert_close(heard(bank.load(kept, CROP)), heard(alone))
    bank.load(PAST[:9], CROP)  # the other slots hold something now
    torch.testing.assert_close(heard(bank.load(kept, CROP)), heard(alone))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20), st.sampled_from([CROP, BESIDE])), max_size=8))
def test_whatever_was_asked_before_a_stack_is_bit_for_bit_that_of_a_fresh_bank(asked):
    bank = a_bank(5)
    for count, number, grid in [*asked, (13, 20, CROP)]:
        past = changed(PAST[:count], number)
        stack, fresh = bank.load(past, grid), a_bank(5).load(past, grid)
        assert torch.equal(stack.ages, fresh.ages)
        assert torch.equal(heard(stack), heard(fresh))


# What it costs


def test_one_more_interaction_writes_one_slot():
    bank = a_bank(4)
    assert [writes_of(bank, PAST[:count]) for count in range(1, 12)] == [1] * 11


def test_asking_again_writes_nothing():
    bank = a_bank(4)
    bank.load(PAST[:7], CROP)
    assert writes_of(bank, PAST[:7]) == 0


def test_undo_and_redo_write_nothing_before_an_overflow():
    bank = a_bank(8)
    bank.load(PAST[:8], CROP)
    assert [writes_of(bank, PAST[:count]) for count in (7, 6, 1, 2, 5, 8)] == [0] * 6


def test_after_an_overflow_undo_and_redo_write_what_comes_back():
    bank = a_bank(4)
    bank.load(PAST[:9], CROP)
    assert [writes_of(bank, PAST[:count]) for count in (8, 9, 7)] == [1, 1, 2]


def test_another_branch_writes_what_differs():
    bank = a_bank(8)
    bank.load(PAST[:8], CROP)
    branch = changed(PAST[:8], 5)
    assert writes_of(bank, branch) == 3
    assert writes_of(bank, branch[:6]) == 0
    assert writes_of(bank, PAST[:6]) == 1


def test_another_crop_writes_all_again():
    bank = a_bank(8)
    bank.load(PAST[:5], CROP)
    assert [writes_of(bank, PAST[:5], BESIDE), writes_of(bank, PAST[:5], BESIDE), writes_of(bank, PAST[:5])] == [
        5,
        0,
        5,
    ]


def test_it_grows_with_what_it_holds_up_to_its_size_and_keeps_it():
    bank = a_bank(38)
    slots = []
    for count in range(1, 41):
        slots.append(room_of(bank.load(PAST[:count], CROP)))
    assert bank.writes == 40
    assert sorted(set(slots)) == [16, 32, 38]
    assert all(held >= min(count, 38) for count, held in enumerate(slots, 1))
    assert torch.equal(heard(bank.load(PAST, CROP)), heard(a_bank(38).load(PAST, CROP)))


def room_of(stack: MemoryStack) -> int:
    """Slots that the bank has memory for: what lies behind the stack's view of it."""
    return stack.sparse.token._base.shape[1]


def test_a_thousand_interactions_do_not_make_it_grow():
    bank, alive = a_bank(4), []
    for number in range(1000):
        one = Interaction(number, PAST[0].click, CROP, PAST[0].sparse, PAST[0].dense)
        alive = [*(reference for reference in alive if reference() is not None), weakref.ref(one)]
        stack = bank.load([one], CROP)
    del one
    gc.collect()
    assert sum(reference() is not None for reference in alive) == 4
    assert room_of(stack) == 4


def test_cleared_it_holds_nothing_and_works_on():
    bank = a_bank(4)
    bank.load([one := Interaction(0, PAST[0].click, CROP, PAST[0].sparse, PAST[0].dense)], CROP)
    alive = weakref.ref(one), weakref.ref(bank.load([one], CROP).sparse.token._base)
    bank.clear()
    del one
    gc.collect()
    assert [reference() for reference in alive] == [None, None]
    assert torch.equal(heard(bank.load(PAST[:6], CROP)), heard(a_bank(4).load(PAST[:6], CROP)))


def test_a_write_that_fails_leaves_no_slot_that_claims_to_hold_it(monkeypatch):
    bank = a_bank(4)
    bank.load(PAST[:4], CROP)
    right = ATTENTION.project

    def half_right(*arguments):
        return right(*arguments)._replace(dense=right(*arguments).dense._replace(value=torch.zeros(1, 2, 3)))

    monkeypatch.setattr(ATTENTION, "project", half_right)
    with pytest.raises(RuntimeError):
        bank.load(changed(PAST[:4], 2), CROP)
    monkeypatch.undo()
    for past in (PAST[:4], changed(PAST[:4], 2)):
        assert torch.equal(heard(bank.load(past, CROP)), heard(a_bank(4).load(past, CROP)))


# Another crop


@pytest.mark.parametrize("family", ["native", "published"])
def test_in_another_crop_a_click_is_embedded_where_it_lies_and_its_mask_moved(family):
    encoder = a_network(family).prompt_encoder
    config = InteractionConfig(encoder.config.embedding_channels, 4, 2, 8)
    size = encoder.config.image_size
    old, new = CropGrid((0.0, 0.0, 0.0), 1.0, size), CropGrid((4.0, -6.0, 1.0), 1.2, size)
    attention, one = an_attention(config), some_interactions(1, config, old)[0]
    click = Click((3.0, 2.0, -1.0), positive=False)
    one = Interaction(0, click, old, one.sparse, one.dense)

    stack = InteractionBank(attention, encoder, 4).load([one], new)

    index = torch.tensor([[[(c - o) / 1.2 + (size - 1) / 2 for c, o in zip(click.ras, new.center_ras, strict=True)]]])
    token = encoder.token_of(index, torch.tensor([[0]]))
    dense, known = resampled(one.dense, old, new)
    expected = attention.stack([attention.project(token, dense, None, known)])
    assert not known.all()
    torch.testing.assert_close(heard(stack, attention), heard(expected, attention), atol=1e-4, rtol=1e-4)
    assert stack.sparse.known.all() and torch.equal(stack.dense.known, expected.dense.known)


def test_a_click_outside_the_new_crop_is_hidden():
    clicks = [Click((10.0, 0.0, -5.0)), Click((-20.0, 0.0, -5.0)), Click((12.0, 5.0, 5.0), False)]  # BESIDE: -6 to 58
    past = [Interaction(n, click, CROP, PAST[n].sparse, PAST[n].dense) for n, click in enumerate(clicks)]
    stack = a_bank(4).load(past, BESIDE)
    assert stack.sparse.known.tolist() == [[True, False, True]]
    assert stack.dense.known.unflatten(1, (4, 4, 4))[0, :, 0, 0].tolist() == [[True] * 3] * 3 + [[False] * 3]


def test_going_to_another_crop_and_back_blurs_nothing():
    bank = a_bank(4)
    before = heard(bank.load(PAST[:4], CROP)).clone()
    for grid in (BESIDE, CropGrid((0.3, 0.2, 0.1), 1.7, 64), CROP):
        bank.load(PAST[:4], grid)
    assert torch.equal(heard(bank.load(PAST[:4], CROP)), before)


def test_interactions_of_several_crops_are_heard_together():
    past = [*PAST[:2], *some_interactions(2, CONFIG, BESIDE, first=2)]
    stack = a_bank(4).load(past, BESIDE)
    assert stack.dense.known.unflatten(1, (4, 4, 4))[0, 3, 0, 0].tolist() == [False, False, True, True]
    assert heard(stack).isfinite().all()


@pytest.mark.parametrize("padded", [False, True])
def test_a_state_that_heard_few_of_many_is_heard_by_a_larger_bank(padded):
    # Numbers 60 to 69, as 70 clicks with room for 10 leave them: their slots are the first ten of sixty.
    past = some_interactions(10, CONFIG, CROP, first=60)
    bank = a_bank(60)
    stack = known_alone(bank.load_padded(past, CROP)) if padded else bank.load(past, CROP)
    expected = a_bank(10).load(past, CROP)
    torch.testing.assert_close(heard(stack), heard(expected), atol=1e-5, rtol=1e-5)
