from __future__ import annotations

import os
import time

import numpy as np
import pytest
import safetensors.numpy

from MemorizingSAM3DLib.engine.case_memory.case import CaseFacts, CaseLayout
from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from MemorizingSAM3DLib.engine.errors import CaseMemoryError, UnreadableCaseError
from Testing.engine.case_phantoms import ENCODER, LAYOUT, a_case, facts


@pytest.fixture
def memory(tmp_path):
    return CaseMemory.create(tmp_path / "memory", LAYOUT, ENCODER)


def filled(memory: CaseMemory, count: int) -> list[str]:
    return [memory.add(a_case(seed), facts()).id for seed in range(count)]


def equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def set_used(memory: CaseMemory, case: str, seconds_ago: float) -> None:
    then = time.time() - seconds_ago
    os.utime(memory.path / f"{case}.safetensors", (then, then))


def test_a_case_comes_back_as_it_was_remembered(memory):
    case = memory.add(a_case(1), facts("liver")).id
    for opened in (memory, CaseMemory.open(memory.path, ENCODER)):
        assert equal(opened.arrays(case), a_case(1))
        assert opened.cases[0].facts == facts("liver")
        assert opened.layout == LAYOUT


def test_the_same_case_twice_is_stored_once(memory):
    first = memory.add(a_case(1), facts())
    later = memory.add(a_case(1), CaseFacts("liver", "CT", "2027-01-01", "training"))
    assert (first.new, later.new) == (True, False)
    assert first.id == later.id
    assert len(memory) == len(list(memory.path.glob("*.safetensors"))) == 1


def test_another_structure_or_modality_is_another_case(memory):
    ids = {memory.add(a_case(1), facts(*which)).id for which in (("liver", "CT"), ("spleen", "CT"), ("liver", "MR"))}
    assert len(ids) == len(memory) == 3


def test_cases_are_in_the_order_of_their_ids_whatever_order_they_came_in(tmp_path):
    one, other = (CaseMemory.create(tmp_path / name, LAYOUT, ENCODER) for name in ("one", "other"))
    for seed in range(6):
        one.add(a_case(seed), facts())
    for seed in reversed(range(6)):
        other.add(a_case(seed), facts())
    assert one.ids == other.ids == tuple(sorted(one.ids))
    for name in LAYOUT:
        np.testing.assert_array_equal(one.stacked(name), other.stacked(name))


def test_removing_a_case_equals_never_having_added_it(tmp_path):
    with_it, without = (CaseMemory.create(tmp_path / name, LAYOUT, ENCODER) for name in ("with", "without"))
    for seed in range(4):
        without.add(a_case(seed), facts())
    for seed in (0, 9, 1, 2, 3):
        case = with_it.add(a_case(seed), facts()).id
        if seed == 9:
            extra = case
    with_it.stacked("keys.8")
    with_it.remove(extra)
    assert with_it.ids == without.ids
    np.testing.assert_array_equal(with_it.stacked("keys.8"), without.stacked("keys.8"))
    assert sorted(path.name for path in with_it.path.iterdir()) == sorted(p.name for p in without.path.iterdir())


def test_an_empty_memory_has_empty_stacks(memory):
    assert len(memory) == 0
    assert memory.stacked("keys.8").shape == (0, 2, 27, 8)
    assert memory.matching(structure="liver").shape == (0,)


def test_stacks_are_read_from_the_disk_once(memory):
    ids = filled(memory, 3)
    stack = memory.stacked("keys.8")
    for path in memory.path.glob("*.safetensors"):
        path.unlink()
    assert memory.stacked("keys.8") is stack
    backwards = np.stack([a_case(seed)["keys.8"] for seed in (2, 1, 0)])
    np.testing.assert_array_equal(memory.stacked("keys.8", ids[::-1]), backwards)


def test_the_stack_of_all_cases_cannot_be_changed_by_accident_and_a_part_is_a_copy(memory):
    ids = filled(memory, 2)
    with pytest.raises(ValueError, match="read-only"):
        memory.stacked("mask")[0] = 0
    memory.stacked("mask", ids)[:] = 255
    np.testing.assert_array_equal(memory.stacked("mask", ids)[0], a_case(0)["mask"])


def test_the_revision_tells_when_what_was_made_of_the_stacks_is_out_of_date(memory):
    seen = [memory.revision]
    for change in (lambda: filled(memory, 2), lambda: memory.remove(memory.ids[0]), memory.clear):
        change()
        seen.append(memory.revision)
    assert len(set(seen)) == 4
    filled(memory, 1)
    before = memory.revision
    filled(memory, 1)
    memory.stacked("mask")
    assert not memory.reload()
    assert memory.revision == before


def test_cases_are_filtered_by_structure_and_modality(memory):
    liver = memory.add(a_case(0), facts("Liver", "CT")).id
    in_mr = memory.add(a_case(1), facts("liver", "MR")).id
    memory.add(a_case(2), facts("spleen", "CT"))
    ids = np.array(memory.ids)
    assert set(ids[memory.matching(structure=" LIVER")]) == {liver, in_mr}
    assert set(ids[memory.matching("liver", "MR")]) == {in_mr}
    assert memory.matching().all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda case: case.pop("mask"), "lacks mask"),
        (lambda case: case.update(patient=np.zeros(3)), "brings patient"),
        (lambda case: case.update(mask=np.zeros((3, 3), np.uint8)), "shape"),
        (lambda case: case.update(mask=np.zeros((3, 3, 3))), "float64, not uint8"),
        (lambda case: case.update(mask=np.full((3, 3, 3), 256)), "beyond uint8"),
        (lambda case: case.update(descriptor=2 * case["descriptor"]), "unit length"),
        (lambda case: case.update({"keys.8": np.full((2, 27, 8), np.nan)}), "not finite"),
        (lambda case: case.update({"keys.8": np.full((2, 27, 8), 1e6)}), "not finite"),
    ],
)
def test_a_case_that_does_not_fit_is_refused_and_nothing_is_stored(memory, change, words):
    case = a_case(0)
    change(case)
    with pytest.raises(CaseMemoryError, match=words):
        memory.add(case, facts())
    assert [path.name for path in memory.path.iterdir()] == ["memory.json"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"structure": "x" * 65},
        {"structure": "liver\nDOE^JOHN"},
        {"modality": "XA"},
        {"created": "2026-11-21T14:03:00"},
        {"created": "20261121"},
        {"source": "/data/patient_7"},
    ],
)
def test_facts_of_another_form_are_refused(wrong):
    with pytest.raises(CaseMemoryError):
        CaseFacts(**wrong)


@pytest.mark.parametrize("name", ['"' * 64, "\\" * 64, "\U0001d4b3" * 64, "Leber, Segment 4a/b [links]", ""])
def test_any_printable_name_of_a_structure_comes_back(memory, tmp_path, name):
    memory.add(a_case(0), facts(name))
    memory.export(tmp_path / "all.safetensors")
    for path in (memory.path, tmp_path / "all.safetensors"):
        opened = CaseMemory.open(path)
        assert [case.facts.structure for case in opened.cases] == [name]
        assert opened.verify() == []


def test_the_largest_layout_fits_into_the_files(tmp_path):
    words = {f"prior.{'w' * 28}{number:03d}": ("float32", (1, 1, 1, 1, 2)) for number in range(127)}
    memory = CaseMemory.create(tmp_path / "memory", CaseLayout({"descriptor": ("float16", (4,)), **words}), ENCODER)
    case = memory.add(a_case(0, memory.layout), facts('"' * 64)).id
    memory.export(tmp_path / "all.safetensors")
    for path in (memory.path, tmp_path / "all.safetensors"):
        assert equal(CaseMemory.open(path).arrays(case), a_case(0, memory.layout))


def test_facts_that_could_name_a_patient_are_refused():
    with pytest.raises(CaseMemoryError, match="other facts"):
        CaseFacts.from_json({**facts().as_json(), "PatientName": "DOE^JOHN"})


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"descriptor": ("float32", (16,))},
        {"descriptor": ("float16", (16, 2))},
        {"descriptor": ("float16", (16,)), "image": ("float16", (8,))},
        {"descriptor": ("float16", (16,)), "mask": ("object", (8,))},
        {"descriptor": ("float16", (16,)), "mask": ("uint8", (0, 8))},
        {"descriptor": ("float16", (16,)), "mask": ("uint8", (2**62, 4))},
        {"descriptor": ("float16", (16,)), "mask": ("uint8", (True, 4))},
        {"descriptor": ("float16", (16,)), "keys.8": ("float16", (2, 27, 8))},
        {"descriptor": ("float16", (16,)), "keys.8": ("float16", (2, 27, 8)), "values.8": ("float16", (2, 9, 8))},
        {"descriptor": ("float16", (16,)), "prior.../../etc": ("uint8", (4,))},
    ],
)
def test_layouts_outside_of_the_whitelist_are_refused(arrays):
    with pytest.raises(CaseMemoryError):
        CaseLayout(arrays)


def test_a_memory_of_another_encoder_is_refused_in_clear_words(memory):
    with pytest.raises(CaseMemoryError, match="another image encoder") as caught:
        CaseMemory.open(memory.path, "cd" * 32)
    assert "Choose the model that made the memory" in caught.value.remedy


def test_a_case_file_of_another_encoder_is_left_out(memory, tmp_path):
    other = CaseMemory.create(tmp_path / "other", LAYOUT, "cd" * 32)
    filled(memory, 1)
    case = other.add(a_case(5), facts()).id
    (other.path / f"{case}.safetensors").rename(memory.path / f"{case}.safetensors")
    opened = CaseMemory.open(memory.path)
    assert len(opened) == 1
    assert opened.damaged == (case,)
    assert "another image encoder" in opened.warnings[0]


def test_the_case_that_was_of_no_use_for_longest_makes_room(memory):
    ids = filled(memory, 4)
    for number, case in enumerate(ids):
        set_used(memory, case, 1000 - number)
    memory.touch([ids[0]])
    memory.budget_bytes = memory.size_bytes
    added = memory.add(a_case(7), facts())
    assert added.evicted == (ids[1],)
    assert set(memory.ids) == {ids[0], ids[2], ids[3], added.id}
    assert memory.size_bytes <= memory.budget_bytes
    assert CaseMemory.open(memory.path).budget_bytes == memory.budget_bytes


def test_remembering_a_case_again_counts_as_use(memory):
    ids = filled(memory, 3)
    for number, case in enumerate(ids):
        set_used(memory, case, 1000 - number)
    memory.add(a_case(0), facts())
    memory.budget_bytes = memory.size_bytes - 1
    assert set(memory.ids) == {ids[0], ids[2]}


def test_what_other_programs_wrote_counts_against_the_budget(memory):
    other = CaseMemory.open(memory.path)
    ids = filled(other, 3)
    for case in ids:
        set_used(other, case, 1000)
    memory.budget_bytes = other.size_bytes
    memory.reload()
    evicted = memory.add(a_case(8), facts()).evicted
    assert len(evicted) == 1 and evicted[0] in ids
    assert other.reload()
    assert len(other) == 3


def test_a_case_larger_than_the_budget_is_refused_and_evicts_nothing(tmp_path):
    memory = CaseMemory.create(tmp_path / "memory", LAYOUT, ENCODER, budget_bytes=1000)
    with pytest.raises(CaseMemoryError, match="may have 1000"):
        memory.add(a_case(0), facts())


def test_reload_takes_over_what_others_added_removed_and_set(memory):
    ids = filled(memory, 2)
    other = CaseMemory.open(memory.path)
    new = other.add(a_case(9), facts()).id
    other.remove(ids[0])
    other.budget_bytes = 10**6
    assert memory.reload()
    assert set(memory.ids) == {ids[1], new}
    assert memory.budget_bytes == 10**6


def test_a_case_that_others_removed_and_remembered_anew_is_read_where_it_lies_now(memory):
    case = memory.add(a_case(1), facts("stomach", source="user")).id
    other = CaseMemory.open(memory.path)
    other.remove(case)
    other.add(a_case(1), facts("stomach", source="training"))
    memory.reload()
    assert equal(memory.arrays(case), a_case(1))
    assert memory.warnings == ()


def test_a_case_that_others_removed_is_an_error_of_its_own_and_then_left_out(memory):
    ids = filled(memory, 3)
    CaseMemory.open(memory.path).remove(ids[1])
    with pytest.raises(UnreadableCaseError, match="not there any more"):
        memory.stacked("keys.8", ids)
    assert set(memory.ids) == {ids[0], ids[2]}
    assert memory.warnings == ()
    assert memory.stacked("values.8").shape[0] == 2


def test_clear_forgets_everything_also_what_is_damaged(memory):
    ids = filled(memory, 3)
    (memory.path / f"{ids[0]}.safetensors").write_bytes(b"nonsense")
    memory = CaseMemory.open(memory.path)
    memory.clear()
    assert len(memory) == 0
    assert [path.name for path in memory.path.iterdir()] == ["memory.json"]


def test_what_is_not_there_cannot_be_removed(memory):
    with pytest.raises(CaseMemoryError, match="There is no case"):
        memory.remove("0" * 32)


def test_creating_twice_is_refused_and_open_or_create_is_not(memory):
    filled(memory, 1)
    with pytest.raises(CaseMemoryError, match="already"):
        CaseMemory.create(memory.path, LAYOUT, ENCODER)
    assert len(CaseMemory.open_or_create(memory.path, LAYOUT, ENCODER)) == 1
    other = CaseLayout({"descriptor": ("float16", (16,))})
    with pytest.raises(CaseMemoryError, match="keeps descriptor float16"):
        CaseMemory.open_or_create(memory.path, other, ENCODER)


def test_merging_takes_over_what_is_new(memory, tmp_path):
    other = CaseMemory.create(tmp_path / "other", LAYOUT, ENCODER)
    filled(memory, 2)
    for seed in (1, 2, 3):
        other.add(a_case(seed), facts())
    merged = memory.merge(other)
    assert (merged.added, merged.known, merged.evicted, merged.damaged) == (2, 1, 0, 0)
    assert set(memory.ids) > set(other.ids)


def test_merging_memories_of_different_encoders_or_layouts_is_refused(memory, tmp_path):
    small = CaseLayout({"descriptor": ("float16", (16,))})
    for name, layout, encoder in (("encoder", LAYOUT, "cd" * 32), ("layout", small, ENCODER)):
        with pytest.raises(CaseMemoryError):
            memory.merge(CaseMemory.create(tmp_path / name, layout, encoder))


def test_a_single_file_holds_everything_and_opens_like_a_folder(memory, tmp_path):
    ids = filled(memory, 4)
    memory.export(tmp_path / "all.safetensors")
    archive = CaseMemory.open(tmp_path / "all.safetensors", ENCODER)
    assert archive.read_only
    assert archive.ids == memory.ids
    assert [case.facts for case in archive.cases] == [case.facts for case in memory.cases]
    assert archive.verify() == []
    assert equal(archive.arrays(ids[2]), a_case(2))
    for name in LAYOUT:
        np.testing.assert_array_equal(archive.stacked(name), memory.stacked(name))
    unpacked = CaseMemory.unpack(tmp_path / "all.safetensors", tmp_path / "unpacked")
    assert unpacked.ids == memory.ids
    assert not unpacked.read_only


def test_an_empty_memory_can_be_exported(memory, tmp_path):
    memory.export(tmp_path / "empty.safetensors")
    assert len(CaseMemory.open(tmp_path / "empty.safetensors")) == 0


def test_a_single_file_cannot_be_changed(memory, tmp_path):
    ids = filled(memory, 1)
    memory.export(tmp_path / "all.safetensors")
    archive = CaseMemory.open(tmp_path / "all.safetensors")
    before = (tmp_path / "all.safetensors").read_bytes()
    archive.touch(ids)
    for change in (
        lambda: archive.add(a_case(3), facts()),
        lambda: archive.remove(ids[0]),
        archive.clear,
        lambda: archive.merge(memory),
        lambda: setattr(archive, "budget_bytes", 10**6),
    ):
        with pytest.raises(CaseMemoryError, match="single file"):
            change()
    assert (tmp_path / "all.safetensors").read_bytes() == before


def test_files_are_safetensors_that_others_can_read_too(memory, tmp_path):
    case = filled(memory, 2)[0]
    memory.export(tmp_path / "all.safetensors")
    assert equal(safetensors.numpy.load_file(memory.path / f"{case}.safetensors"), a_case(0))
    stacks = safetensors.numpy.load_file(tmp_path / "all.safetensors")
    np.testing.assert_array_equal(stacks["keys.8"], memory.stacked("keys.8"))


def test_files_hold_no_moment_and_no_path(memory, tmp_path):
    case = filled(memory, 1)[0]
    memory.export(tmp_path / "all.safetensors")
    for path in (memory.path / f"{case}.safetensors", tmp_path / "all.safetensors"):
        text = path.read_bytes()
        assert str(tmp_path).encode() not in text
        assert b"2026-11-21" in text
        assert b"2026-11-21T" not in text and b"2026-11-21 " not in text
