from __future__ import annotations

import time

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.case_memory.retrieval import DEFAULT_NEIGHBOURS as ENGINE_NEIGHBOURS
from MemorizingSAM3DLib.engine.errors import EngineError, OutputError
from MemorizingSAM3DLib.engine.networks.memory_attention import DEFAULT_CAPACITY
from MemorizingSAM3DLib.engine.session import replay
from MemorizingSAM3DLib.scene.compute.case_memory import DEFAULT_NEIGHBOURS
from MemorizingSAM3DLib.scene.compute.engine_thread import INTERACTIONS_KEPT
from Testing.scene.controlled import FIRST, SECOND, Controlled, addBlocks
from Testing.scene.remembering_model import RememberingModel

AROUND_FIRST = (slice(3, 16), slice(4, 18), slice(5, 20))  # the first block with a rim of air


@pytest.fixture
def a_folder(tmp_path):
    return tmp_path / "data" / "CaseMemory"


@pytest.fixture
def a_user(a_scene, an_oblique_matrix, a_folder):
    controlled = Controlled(addBlocks(an_oblique_matrix), RememberingModel())
    controlled.controller.memories.setUse(True)
    controlled.controller.memories.choose(str(a_folder))
    controlled.settle()
    yield controlled
    controlled.controller.close()


def clickedAnew(user, kji=FIRST):
    """The mask of a new segment after its first click."""
    user.controller.newSegment()
    user.place(kji)
    return user.mask()


def remembered(user, name="Blob"):
    """The first block, painted with a rim that no click would give it, is remembered."""
    user.controller.newSegment("painted")
    user.paint(AROUND_FIRST)
    user.settle()
    user.controller.memories.remember(name)
    user.settle()
    return user.controller.selectedSegmentID


def memories(user):
    return user.controller.memories


def test_the_defaults_are_those_of_the_engine():
    assert DEFAULT_NEIGHBOURS == ENGINE_NEIGHBOURS
    assert INTERACTIONS_KEPT == DEFAULT_CAPACITY


def test_nothing_is_made_before_the_first_segment_is_remembered(a_user, a_folder):
    clickedAnew(a_user)

    assert not a_folder.parent.exists()
    assert memories(a_user).facts.isEmpty
    assert a_user.messages == []


def test_the_memory_tells_what_it_holds(a_user, a_folder):
    remembered(a_user, " Blob ")
    facts = memories(a_user).facts

    assert (facts.cases, facts.structures, facts.warnings, facts.problem) == (1, (("Blob", 1),), (), "")
    assert facts.sizeBytes == sum(file.stat().st_size for file in a_folder.glob("*.safetensors"))
    assert a_user.controller.status.caseMemory == facts
    assert a_user.controller.status.memoryNote == "Remembered as 'Blob'."


def test_a_segment_is_remembered_once_and_without_a_name_if_the_user_wants(a_user):
    remembered(a_user, "")
    assert memories(a_user).note == "Remembered, without a name."
    memories(a_user).remember("")
    a_user.settle()

    assert memories(a_user).note == "This segment was remembered already."
    assert memories(a_user).facts.structures == (("", 1),)


def test_the_next_first_click_begins_from_what_was_remembered(a_user):
    plain = clickedAnew(a_user)
    assert a_user.controller.status.recalled is None
    remembered(a_user)
    rim = np.zeros_like(plain)
    rim[AROUND_FIRST] = True
    again = clickedAnew(a_user)

    assert a_user.controller.status.recalled == "Blob"
    assert (again & rim).sum() > 0.6 * rim.sum() > 1.2 * plain.sum()


def test_what_is_unlike_it_is_segmented_as_before(a_user):
    plain = clickedAnew(a_user, SECOND)
    remembered(a_user)

    assert (clickedAnew(a_user, SECOND) == plain).all()
    assert a_user.controller.status.recalled is None


def test_turned_off_or_cleared_the_plain_result_is_back_exactly(a_user):
    plain = clickedAnew(a_user)
    remembered(a_user)
    told = clickedAnew(a_user)
    assert (told != plain).any()

    memories(a_user).setUse(False)
    a_user.settle()
    assert (clickedAnew(a_user) == plain).all()
    memories(a_user).setUse(True)
    a_user.settle()
    assert (clickedAnew(a_user) == told).all()
    memories(a_user).clear()
    a_user.settle()
    assert (clickedAnew(a_user) == plain).all()
    assert memories(a_user).facts.isEmpty


@pytest.mark.parametrize("kept", [128, 1])
def test_segments_and_their_undo_and_redo_stay_when_the_memory_changes(a_user, kept, monkeypatch):
    monkeypatch.setattr(replay, "STATES_KEPT", kept)  # with 1, almost everything is computed again
    masks = []
    a_user.controller.newSegment()
    segment = a_user.controller.selectedSegmentID
    for kji in (FIRST, (9, 11, 22), (9, 20, 12)):
        a_user.place(kji)
        masks.append(a_user.mask())
    other = remembered(a_user)
    told = clickedAnew(a_user)
    a_user.controller.removeSegment(a_user.controller.selectedSegmentID)
    a_user.controller.removeSegment(other)
    a_user.controller.selectSegment(segment)
    a_user.settle()

    assert (told != masks[0]).any()
    assert (a_user.mask() == masks[2]).all()
    for number in (1, 0):
        a_user.controller.undo()
        a_user.settle()
        assert (a_user.mask() == masks[number]).all()
    for number in (1, 2):
        a_user.controller.redo()
        a_user.settle()
        assert (a_user.mask() == masks[number]).all()
    a_user.controller.removePoint(2)
    a_user.settle()
    assert (a_user.mask() == masks[1]).all()


def test_a_segment_that_began_from_a_memory_stays_when_that_is_cleared(a_user):
    remembered(a_user)
    told = clickedAnew(a_user)
    memories(a_user).clear()
    a_user.settle()
    a_user.place((9, 11, 22))
    a_user.controller.undo()
    a_user.settle()

    assert (a_user.mask() == told).all()
    assert a_user.controller.status.recalled == "Blob"


def test_a_first_point_that_is_moved_asks_the_memory_as_it_is_now(a_user):
    plain = clickedAnew(a_user)
    remembered(a_user)
    a_user.controller.selectSegment(a_user.segmentIDs()[0])
    a_user.controller.positiveNode.SetNthControlPointPositionWorld(0, *a_user.world((9, 11, 13)))
    a_user.settle()

    assert a_user.controller.status.recalled == "Blob"
    a_user.controller.undo()
    a_user.settle()
    assert (a_user.mask() == plain).all()
    assert a_user.controller.status.recalled is None


def test_a_segment_without_voxels_and_no_segment_are_not_remembered(a_user):
    with pytest.raises(EngineError, match="no segment"):
        memories(a_user).remember("x")
    a_user.controller.newSegment()
    a_user.settle()
    with pytest.raises(EngineError, match="empty"):
        memories(a_user).remember("x")


def test_while_something_is_computed_nothing_is_remembered(a_user):
    clickedAnew(a_user)
    a_user.place(SECOND, wait=False)
    with pytest.raises(EngineError, match="Wait"):
        memories(a_user).remember("x")


def test_a_name_that_cannot_be_kept_is_explained_and_nothing_is_stored(a_user, a_folder):
    remembered(a_user, "x" * 65)

    assert "64 characters" in a_user.messages[-1]
    assert memories(a_user).facts.cases == 0
    assert memories(a_user).note == ""


def test_cancelling_while_a_segment_is_remembered_stores_nothing(a_user):
    clickedAnew(a_user)
    mask = a_user.mask()
    memories(a_user).remember("x")
    a_user.controller.cancel()
    a_user.settle()

    assert memories(a_user).facts.cases == 0
    assert a_user.messages == []
    assert (a_user.mask() == mask).all()


def test_a_memory_of_another_model_is_refused_in_words_and_clicks_go_on(a_user, a_folder, tmp_path):
    remembered(a_user)
    a_user.controller.setModel(RememberingModel(number=1))
    a_user.settle()

    assert "made with another model" in a_user.messages[-1]
    assert "another folder" in memories(a_user).facts.problem
    assert clickedAnew(a_user).any()
    assert len(a_user.messages) == 1
    memories(a_user).choose(str(tmp_path / "other"))
    a_user.settle()
    assert memories(a_user).facts.problem == ""
    a_user.controller.setModel(RememberingModel())
    memories(a_user).choose(str(a_folder))
    a_user.settle()
    assert memories(a_user).facts.cases == 1
    assert memories(a_user).facts.problem == ""


def test_a_folder_with_other_things_is_refused(a_user, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mother.txt").write_text("Dear")
    memories(a_user).choose(str(tmp_path / "letters"))
    a_user.settle()

    assert "holds other things" in a_user.messages[-1]
    remembered(a_user)
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["mother.txt"]


def test_an_empty_folder_becomes_a_memory(a_user, tmp_path):
    (tmp_path / "empty").mkdir()
    memories(a_user).choose(str(tmp_path / "empty"))
    remembered(a_user)

    assert memories(a_user).facts.cases == 1
    assert (tmp_path / "empty" / "memory.json").is_file()


def test_a_damaged_case_is_left_out_and_said_to_be(a_user, a_folder):
    remembered(a_user)
    (file,) = a_folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    memories(a_user).choose(str(a_folder))
    a_user.settle()

    assert memories(a_user).facts.cases == 0
    assert len(memories(a_user).facts.warnings) == 1
    assert not memories(a_user).facts.isEmpty
    memories(a_user).clear()
    a_user.settle()
    assert memories(a_user).facts.isEmpty


def test_what_is_exported_can_be_imported_elsewhere(a_user, tmp_path):
    plain = clickedAnew(a_user)
    remembered(a_user)
    told = clickedAnew(a_user)
    memories(a_user).exportTo(str(tmp_path / "mine"))
    a_user.settle()
    assert memories(a_user).note == f"Exported to {tmp_path / 'mine.safetensors'}."

    memories(a_user).choose(str(tmp_path / "elsewhere"))
    a_user.settle()
    assert (clickedAnew(a_user) == plain).all()
    memories(a_user).importFrom(str(tmp_path / "mine.safetensors"))
    a_user.settle()
    assert memories(a_user).note == "Imported 1 case."
    assert (clickedAnew(a_user) == told).all()
    memories(a_user).importFrom(str(tmp_path / "mine.safetensors"))
    a_user.settle()
    assert memories(a_user).note == "Imported 0 cases; 1 there already."


def test_a_file_that_the_user_did_not_name_is_not_replaced(a_user, tmp_path):
    remembered(a_user)
    (tmp_path / "mine.safetensors").write_text("mine")
    with pytest.raises(OutputError, match="another name"):
        memories(a_user).exportTo(str(tmp_path / "mine"))

    memories(a_user).exportTo(str(tmp_path / "mine.safetensors"))
    a_user.settle()
    assert (tmp_path / "mine.safetensors").stat().st_size > 1000


def test_a_saved_segment_of_a_cleared_memory_stays_and_is_refined(a_user):
    remembered(a_user)
    told = clickedAnew(a_user)
    node, segment = a_user.controller.segmentationNode, a_user.controller.selectedSegmentID
    memories(a_user).clear()
    a_user.settle()
    a_user.controller.setScan(None)
    a_user.controller.setScan(a_user.volumeNode)
    a_user.controller.setSegmentation(node)
    a_user.controller.selectSegment(segment)
    a_user.settle()
    assert (a_user.mask() == told).all()

    a_user.place((9, 11, 22))
    after = a_user.mask()
    assert (after & told).sum() > 0.75 * told.sum()  # the model alone would find less than half
    a_user.controller.undo()
    a_user.settle()
    assert (a_user.mask() == told).all()


def test_a_file_of_another_model_or_of_anything_else_is_not_imported(a_user, tmp_path):
    remembered(a_user)
    memories(a_user).exportTo(str(tmp_path / "mine.safetensors"))
    a_user.settle()
    (tmp_path / "other.safetensors").write_bytes(b"no memory")
    memories(a_user).importFrom(str(tmp_path / "other.safetensors"))
    a_user.settle()
    assert "other.safetensors" in a_user.messages[-1]

    memories(a_user).choose(str(tmp_path / "new"))
    a_user.controller.setModel(RememberingModel(number=1))
    a_user.settle()
    memories(a_user).importFrom(str(tmp_path / "mine.safetensors"))
    a_user.settle()
    assert "made with another model" in a_user.messages[-1]
    assert not (tmp_path / "new").exists()


def test_with_nothing_in_it_nothing_is_exported(a_user, tmp_path):
    memories(a_user).exportTo(str(tmp_path / "mine.safetensors"))
    a_user.settle()

    assert "Remember a segment first" in a_user.messages[-1]
    assert list(tmp_path.iterdir()) == []


def test_before_a_scan_is_chosen_the_memory_can_be_looked_at(a_user, a_folder):
    from MemorizingSAM3DLib.scene.click_controller import ClickController

    remembered(a_user)
    other = ClickController(RememberingModel())
    other.memories.choose(str(a_folder))
    while other.poll(0.02):
        pass

    assert other.status.caseMemory.structures == (("Blob", 1),)
    assert other.status.model == ""
    other.close()


@pytest.mark.parametrize("filled", [False, True])
def test_a_saved_segment_goes_on_from_its_points_whatever_was_remembered_since(a_user, filled):
    if filled:
        remembered(a_user)
        a_user.controller.removeSegment(a_user.controller.selectedSegmentID)
    before = clickedAnew(a_user)
    node, segment = a_user.controller.segmentationNode, a_user.controller.selectedSegmentID
    if not filled:
        remembered(a_user)
        a_user.controller.selectSegment(segment)
    a_user.controller.setScan(None)
    a_user.controller.setScan(a_user.volumeNode)
    a_user.controller.setSegmentation(node)
    a_user.controller.selectSegment(segment)
    a_user.settle()
    a_user.place((9, 11, 22))

    assert len(a_user.controller.points) == 2
    a_user.controller.undo()
    a_user.settle()
    assert (a_user.mask() == before).all()
    assert a_user.messages == []


# --- proposals


def nameOfSelected(user):
    controller = user.controller
    return controller.segmentationNode.GetSegmentation().GetSegment(controller.selectedSegmentID).GetName()


def test_a_remembered_structure_is_proposed_as_a_point_of_a_new_segment(a_user):
    painted = remembered(a_user)
    memories(a_user).propose("Blob")
    assert "Looking for 'Blob'" in a_user.controller.status.busy
    a_user.settle()

    assert a_user.messages == []
    assert a_user.controller.selectedSegmentID != painted
    assert nameOfSelected(a_user) == "Blob"
    assert [point.positive for point in a_user.controller.points] == [True]
    assert a_user.mask()[AROUND_FIRST].any()
    assert "'Blob' was found" in a_user.controller.status.memoryNote


def test_a_proposal_can_be_undone_and_redone(a_user):
    remembered(a_user)
    memories(a_user).propose("Blob")
    a_user.settle()
    proposed = a_user.mask().copy()
    a_user.controller.undo()
    a_user.settle()
    assert not a_user.mask().any() and not a_user.controller.points
    a_user.controller.redo()
    a_user.settle()
    assert (a_user.mask() == proposed).all()


def test_an_empty_segment_of_that_name_takes_the_proposal(a_user):
    remembered(a_user)
    waiting = a_user.controller.newSegment("blob")
    count = len(a_user.segmentIDs())
    memories(a_user).propose("Blob")
    a_user.settle()

    assert a_user.controller.selectedSegmentID == waiting
    assert len(a_user.segmentIDs()) == count and a_user.mask().any()


@pytest.mark.parametrize("what", ["painted", "clicked", "locked"])
def test_a_segment_with_something_in_it_is_left_alone(a_user, what):
    remembered(a_user)
    other = a_user.controller.newSegment("Blob")
    if what == "painted":
        a_user.paint(AROUND_FIRST)
    elif what == "clicked":
        a_user.place(SECOND)
    a_user.settle()
    before = a_user.mask().copy()
    if what == "locked":
        a_user.controller.setLocked(other, True)
    memories(a_user).propose("Blob")
    a_user.settle()

    assert a_user.controller.selectedSegmentID != other
    a_user.controller.selectSegment(other)
    assert (a_user.mask() == before).all()


def test_what_is_not_recognised_or_not_remembered_is_said_and_nothing_changes(a_user):
    remembered(a_user)
    count = len(a_user.segmentIDs())
    memories(a_user).propose("Liver")
    a_user.settle()
    assert "No remembered case is called 'Liver'" in a_user.messages[-1]
    memories(a_user).setUse(False)
    a_user.settle()
    memories(a_user).propose("Blob")
    a_user.settle()
    assert "No case memory is in use" in a_user.messages[-1]
    assert len(a_user.segmentIDs()) == count


def test_a_cancelled_search_changes_nothing_and_says_nothing(a_user):
    remembered(a_user)
    count = len(a_user.segmentIDs())
    memories(a_user).propose("Blob")
    a_user.controller.cancel()
    a_user.settle()
    assert len(a_user.segmentIDs()) == count and a_user.messages == []


def test_without_a_scan_there_is_nothing_to_look_in(a_user):
    a_user.controller.setScan(None)
    with pytest.raises(EngineError, match="no scan to look in"):
        memories(a_user).propose("Blob")


def test_what_was_found_in_a_scan_that_is_no_longer_chosen_is_not_used(a_user, an_oblique_matrix):
    remembered(a_user)
    memories(a_user).propose("Blob")
    worker = a_user.controller._inference.worker
    while worker._done.empty():  # done, but not delivered yet
        time.sleep(0.01)
    a_user.controller.setScan(addBlocks(an_oblique_matrix, "another"))
    a_user.settle()
    assert not a_user.controller.points and a_user.messages == []
    assert "was found" not in a_user.controller.status.memoryNote
