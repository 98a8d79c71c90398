from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.interaction_memory.bank import Interaction, InteractionBank, known_alone, resampled
from MemorizingSAM3DLib.engine.networks.memory_attention import InteractionConfig, MemoryStack
from MemorizingSAM3DLib.engine.networks.prompt_encoder import NativePromptEncoder
from MemorizingSAM3DLib.engine.prompts import Click
from Testing.engine.small_memories import ALL_KINDS, a_network, an_attention, an_embedding, positions, some_interactions
from Testing.engine.small_networks import SMALL_NATIVE

CROP = CropGrid((12.0, -7.0, 30.0), 1.5, 64)  # 96 mm; four cells of 24 mm an edge
CELLS = 4
DENSE = torch.randn(1, 3, CELLS, CELLS, CELLS, generator=torch.Generator().manual_seed(0))


def shifted(cells, scale: float = 1.0) -> CropGrid:
    centre = np.add(CROP.center_ras, np.array(cells) * CROP.extent_mm / CELLS)
    return CropGrid(tuple(centre.tolist()), CROP.spacing * scale, CROP.size)


def test_in_its_own_crop_a_mask_is_what_it_was():
    moved, known = resampled(DENSE, CROP, CROP)
    assert torch.equal(moved, DENSE)
    assert known.shape == (1, CELLS, CELLS, CELLS) and known.all()


def test_a_shift_by_whole_cells_moves_them_and_hides_what_was_not_seen():
    moved, known = resampled(DENSE, CROP, shifted((1, 0, -2)))
    torch.testing.assert_close(moved[:, :, :3, :, 2:], DENSE[:, :, 1:, :, :2])
    expected = torch.zeros(1, CELLS, CELLS, CELLS, dtype=torch.bool)
    expected[:, :3, :, 2:] = True
    assert torch.equal(known, expected)


def test_a_crop_elsewhere_knows_nothing():
    assert not resampled(DENSE, CROP, shifted((0, 5, 0)))[1].any()


def test_a_crop_within_knows_everything_and_a_larger_one_only_its_middle():
    assert resampled(DENSE, CROP, shifted((0.4, -0.4, 0.0), 0.7))[1].all()
    known = resampled(DENSE, CROP, shifted((0, 0, 0), 2.0))[1][0]
    assert known[1:3, 1:3, 1:3].all() and int(known.sum()) == 8


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.floats(-3, 3)] * 3), st.floats(0.3, 3))
def test_another_crop_sees_the_mask_where_it_lies_in_the_patient(shift, scale):
    other = shifted(shift, scale)
    cells = np.indices((CELLS,) * 3).reshape(3, -1).T
    ras = other.coarser(CELLS).index_to_ras(cells)
    places = CROP.coarser(CELLS).ras_to_index(ras)
    assume((np.abs(np.abs(ras - CROP.center_ras) - CROP.extent_mm / 2) > 1e-6).all())  # not on a face itself

    moved, known = resampled(DENSE, CROP, other)

    inside = [CROP.contains(point) for point in ras]
    assert known.flatten().tolist() == inside
    for channel in range(DENSE.shape[1]):
        expected = ndimage.map_coordinates(DENSE[0, channel].double().numpy(), places.T, order=1, mode="nearest")
        np.testing.assert_allclose(moved[0, channel].flatten().numpy(), expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-1, 1)] * 3), st.floats(0.3, 1.5))
def test_what_grows_evenly_still_does(shift, scale):
    """Between the outermost centres linear interpolation is exact."""
    slope = np.array([0.3, -0.2, 0.5])

    def field(grid):
        ras = grid.coarser(CELLS).index_to_ras(np.indices((CELLS,) * 3).reshape(3, -1).T)
        return ras, torch.from_numpy((ras @ slope).reshape(1, 1, *[CELLS] * 3)).float()

    other = shifted(shift, scale)
    moved, _ = resampled(field(CROP)[1], CROP, other)
    ras, expected = field(other)
    between = (np.abs(ras - CROP.center_ras) <= CROP.extent_mm / 2 * (1 - 1 / CELLS)).all(1)
    np.testing.assert_allclose(moved.flatten()[between].numpy(), expected.flatten()[between].numpy(), atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mask_keeps_its_type_and_is_not_written_to(dtype):
    dense = DENSE.to(dtype)
    before = dense.clone()
    moved, _ = resampled(dense, CROP, shifted((0.5, 0.5, 0.5)))
    assert moved.dtype == dtype
    assert torch.equal(dense, before)


CONFIG = InteractionConfig(16, 4, 2, 8)
ENCODER = NativePromptEncoder(SMALL_NATIVE.with_(image_size=64, embedding_channels=16))
ATTENTION = an_attention(CONFIG)
CROP_OF_A_BANK = CropGrid((10.0, 0.0, -5.0), 1.0, 64)
BESIDE = CropGrid((26.0, 0.0, -5.0), 1.0, 64)  # one cell further
PAST = some_interactions(40, CONFIG, CROP_OF_A_BANK)


def a_bank(size: int = 4, attention=ATTENTION) -> InteractionBank:
    return InteractionBank(attention, ENCODER, size)


def writes_of(bank: InteractionBank, interactions: Sequence[Interaction], grid: CropGrid = CROP_OF_A_BANK) -> int:
    before = bank.writes
    bank.load(interactions, grid)
    return bank.writes - before


def attended(stack: MemoryStack, attention=ATTENTION) -> torch.Tensor:
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
    assert bank.load(PAST[:3], CROP_OF_A_BANK).ages.tolist() == ([0] if size == 1 else [2, 1, 0])


# What a state's stack is


@pytest.mark.parametrize("kinds", ALL_KINDS)
@pytest.mark.parametrize("count", [1, 3, 4, 5, 11])
def test_a_stack_is_that_of_the_last_interactions(kinds, count):
    attention = an_attention(InteractionConfig(16, 4, 2, 8, kinds))
    stack = a_bank(4, attention).load(PAST[:count], CROP_OF_A_BANK)
    kept = [attention.project(one.sparse, one.dense) for one in PAST[:count][-4:]]
    torch.testing.assert_close(attended(stack, attention), attended(attention.stack(kept), attention))
    assert ((stack.sparse is None), (stack.dense is None)) == (kinds == "dense", kinds == "sparse")


def test_an_overflow_drops_the_oldest_only():
    past, result = PAST[:6], attended(a_bank(4).load(PAST[:6], CROP_OF_A_BANK))
    for number in range(6):
        one = past[number]
        other = Interaction(number, one.click, CROP_OF_A_BANK, one.sparse + 1, one.dense.flip(2))
        with_other = attended(a_bank(4).load([*past[:number], other, *past[number + 1 :]], CROP_OF_A_BANK))
        assert torch.equal(with_other, result) == (number < 2)


def test_what_a_state_does_not_remember_is_hidden():
    """After a bank of 3 was made larger, a state has 3 memories although 7 clicks came before."""
    kept = PAST[7:10]
    alone = ATTENTION.stack([ATTENTION.project(one.sparse, one.dense) for one in kept])
    bank = a_bank(8)
    torch.testing.assert_close(attended(bank.load(kept, CROP_OF_A_BANK)), attended(alone))
    bank.load(PAST[:9], CROP_OF_A_BANK)  # the other slots hold something now
    torch.testing.assert_close(attended(bank.load(kept, CROP_OF_A_BANK)), attended(alone))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 20), st.sampled_from([CROP_OF_A_BANK, BESIDE])), max_size=8)
)
def test_whatever_was_asked_before_a_stack_is_bit_for_bit_that_of_a_fresh_bank(asked):
    bank = a_bank(5)
    for count, number, grid in [*asked, (13, 20, CROP_OF_A_BANK)]:
        past = changed(PAST[:count], number)
        stack, fresh = bank.load(past, grid), a_bank(5).load(past, grid)
        assert torch.equal(stack.ages, fresh.ages)
        assert torch.equal(attended(stack), attended(fresh))


# What it costs


def test_one_more_interaction_writes_one_slot():
    bank = a_bank(4)
    assert [writes_of(bank, PAST[:count]) for count in range(1, 12)] == [1] * 11


def test_asking_again_writes_nothing():
    bank = a_bank(4)
    bank.load(PAST[:7], CROP_OF_A_BANK)
    assert writes_of(bank, PAST[:7]) == 0


def test_undo_and_redo_write_nothing_before_an_overflow():
    bank = a_bank(8)
    bank.load(PAST[:8], CROP_OF_A_BANK)
    assert [writes_of(bank, PAST[:count]) for count in (7, 6, 1, 2, 5, 8)] == [0] * 6


def test_after_an_overflow_undo_and_redo_write_what_comes_back():
    bank = a_bank(4)
    bank.load(PAST[:9], CROP_OF_A_BANK)
    assert [writes_of(bank, PAST[:count]) for count in (8, 9, 7)] == [1, 1, 2]


def test_another_branch_writes_what_differs():
    bank = a_bank(8)
    bank.load(PAST[:8], CROP_OF_A_BANK)
    branch = changed(PAST[:8], 5)
    assert writes_of(bank, branch) == 3
    assert writes_of(bank, branch[:6]) == 0
    assert writes_of(bank, PAST[:6]) == 1


def test_another_crop_writes_all_again():
    bank = a_bank(8)
    bank.load(PAST[:5], CROP_OF_A_BANK)
    assert [writes_of(bank, PAST[:5], BESIDE), writes_of(bank, PAST[:5], BESIDE), writes_of(bank, PAST[:5])] == [
        5,
        0,
        5,
    ]


def test_it_grows_with_what_it_holds_up_to_its_size_and_keeps_it():
    bank = a_bank(38)
    slots = []
    for count in range(1, 41):
        slots.append(room_of(bank.load(PAST[:count], CROP_OF_A_BANK)))
    assert bank.writes == 40
    assert sorted(set(slots)) == [16, 32, 38]
    assert all(held >= min(count, 38) for count, held in enumerate(slots, 1))
    assert torch.equal(attended(bank.load(PAST, CROP_OF_A_BANK)), attended(a_bank(38).load(PAST, CROP_OF_A_BANK)))


def room_of(stack: MemoryStack) -> int:
    """Slots that the bank has memory for: what lies behind the stack's view of it."""
    return stack.sparse.token._base.shape[1]


def test_a_thousand_interactions_do_not_make_it_grow():
    bank, alive = a_bank(4), []
    for number in range(1000):
        one = Interaction(number, PAST[0].click, CROP_OF_A_BANK, PAST[0].sparse, PAST[0].dense)
        alive = [*(reference for reference in alive if reference() is not None), weakref.ref(one)]
        stack = bank.load([one], CROP_OF_A_BANK)
    del one
    gc.collect()
    assert sum(reference() is not None for reference in alive) == 4
    assert room_of(stack) == 4


def test_cleared_it_holds_nothing_and_works_on():
    bank = a_bank(4)
    bank.load([one := Interaction(0, PAST[0].click, CROP_OF_A_BANK, PAST[0].sparse, PAST[0].dense)], CROP_OF_A_BANK)
    alive = weakref.ref(one), weakref.ref(bank.load([one], CROP_OF_A_BANK).sparse.token._base)
    bank.clear()
    del one
    gc.collect()
    assert [reference() for reference in alive] == [None, None]
    assert torch.equal(
        attended(bank.load(PAST[:6], CROP_OF_A_BANK)), attended(a_bank(4).load(PAST[:6], CROP_OF_A_BANK))
    )


def test_a_write_that_fails_leaves_no_slot_that_claims_to_hold_it(monkeypatch):
    bank = a_bank(4)
    bank.load(PAST[:4], CROP_OF_A_BANK)
    right = ATTENTION.project

    def half_right(*arguments):
        return right(*arguments)._replace(dense=right(*arguments).dense._replace(value=torch.zeros(1, 2, 3)))

    monkeypatch.setattr(ATTENTION, "project", half_right)
    with pytest.raises(RuntimeError):
        bank.load(changed(PAST[:4], 2), CROP_OF_A_BANK)
    monkeypatch.undo()
    for past in (PAST[:4], changed(PAST[:4], 2)):
        assert torch.equal(attended(bank.load(past, CROP_OF_A_BANK)), attended(a_bank(4).load(past, CROP_OF_A_BANK)))


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
    torch.testing.assert_close(attended(stack, attention), attended(expected, attention), atol=1e-4, rtol=1e-4)
    assert stack.sparse.known.all() and torch.equal(stack.dense.known, expected.dense.known)


def test_a_click_outside_the_new_crop_is_hidden():
    clicks = [Click((10.0, 0.0, -5.0)), Click((-20.0, 0.0, -5.0)), Click((12.0, 5.0, 5.0), False)]  # BESIDE: -6 to 58
    past = [Interaction(n, click, CROP_OF_A_BANK, PAST[n].sparse, PAST[n].dense) for n, click in enumerate(clicks)]
    stack = a_bank(4).load(past, BESIDE)
    assert stack.sparse.known.tolist() == [[True, False, True]]
    assert stack.dense.known.unflatten(1, (4, 4, 4))[0, :, 0, 0].tolist() == [[True] * 3] * 3 + [[False] * 3]


def test_going_to_another_crop_and_back_blurs_nothing():
    bank = a_bank(4)
    before = attended(bank.load(PAST[:4], CROP_OF_A_BANK)).clone()
    for grid in (BESIDE, CropGrid((0.3, 0.2, 0.1), 1.7, 64), CROP_OF_A_BANK):
        bank.load(PAST[:4], grid)
    assert torch.equal(attended(bank.load(PAST[:4], CROP_OF_A_BANK)), before)


def test_interactions_of_several_crops_are_heard_together():
    past = [*PAST[:2], *some_interactions(2, CONFIG, BESIDE, first=2)]
    stack = a_bank(4).load(past, BESIDE)
    assert stack.dense.known.unflatten(1, (4, 4, 4))[0, 3, 0, 0].tolist() == [False, False, True, True]
    assert attended(stack).isfinite().all()


@pytest.mark.parametrize("padded", [False, True])
def test_a_state_that_heard_few_of_many_is_heard_by_a_larger_bank(padded):
    # Numbers 60 to 69, as 70 clicks with room for 10 leave them: their slots are the first ten of sixty.
    past = some_interactions(10, CONFIG, CROP_OF_A_BANK, first=60)
    bank = a_bank(60)
    stack = known_alone(bank.load_padded(past, CROP_OF_A_BANK)) if padded else bank.load(past, CROP_OF_A_BANK)
    expected = a_bank(10).load(past, CROP_OF_A_BANK)
    torch.testing.assert_close(attended(stack), attended(expected), atol=1e-5, rtol=1e-5)
