from __future__ import annotations

from MemorizingSAM3DLib.learning.case_arms import WITHOUT, Ablations, arms_of

TRIED = Ablations((1, 3, 10), (4, 5), (1, 3), (0.0, 0.3), True)


def test_everything_is_measured_against_the_same_without_memory():
    for table in ("growth", "absent", "attention"):
        first, *others = arms_of(table, TRIED)
        assert (first.title, first.remembered, first.against) == (WITHOUT, 0, None)
        assert {arm.against for arm in others} == {WITHOUT} and all(arm.remembered for arm in others)
        assert len({arm.title for arm in (first, *others)}) == len(others) + 1


def test_growth_asks_all_cases_and_those_of_the_name():
    arms = arms_of("growth", TRIED)[1:]
    assert [(arm.remembered, arm.names) for arm in arms] == [
        (n, names) for names in ("all", "known") for n in (1, 3, 10)
    ]
    assert all(arm.block is None for arm in arms)


def test_an_absent_structure_is_left_out_of_the_largest_memory():
    (arm,) = arms_of("absent", TRIED)[1:]
    assert (arm.remembered, arm.names) == (10, "absent")


def test_equal_arms_of_the_ablations_share_an_evaluation():
    arms = arms_of("attention", TRIED)[1:]
    assert all(arm.block is not None for arm in arms)
    shared = [arm.title for arm in arms if arm.folder == "n-10-block-4-k-3-ratio-0.3"]
    assert shared == ["k = 3", "local ratio 0.3", "block 4", "n = 10"]
    assert len({arm.folder for arm in arms}) == 1 + 1 + 1 + 1 + 2  # that one; k = 1, ratio 0, block 5, n = 1, n = 3
