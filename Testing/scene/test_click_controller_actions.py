"""Five hundred actions of a user, in any order, on real MRML: nothing raises, nothing is lost, nothing goes astray."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from Testing.scene.controlled import Controlled, addBlocks

SHAPE = (30, 32, 34)
voxels = st.tuples(*(st.integers(0, size - 1) for size in SHAPE))
corners = st.tuples(*(st.integers(0, size - 6) for size in SHAPE))
numbers = st.integers(0, 1000)
WHAT = ["select", "select", "lock", "unlock", "remove", "rename", "paint", "erase"]


class AUser(RuleBasedStateMachine):
    """Clicks, drags, undoes, paints with another tool, changes segments, scans and transforms, closes and goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.others: dict[str, np.ndarray] = {}
        self.settled = True

    @initialize()
    def open_a_scan(self) -> None:
        import slicer

        matrix = np.diag([-2.0, 1.5, 1.0, 1.0])
        self.scans = [addBlocks(matrix, "one"), addBlocks(matrix, "two")]
        self.controlled = Controlled(self.scans[0])
        self.transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "a transform")

    @property
    def controller(self) -> Any:
        return self.controlled.controller

    def act(self, function: Any, *arguments: Any) -> None:
        """One action on the selected segment: no other segment may change by it."""
        self.others = self.masksButSelected()
        self.settled = False
        function(*arguments)

    def masksButSelected(self) -> dict[str, np.ndarray]:
        if self.controller.segmentationNode is None:
            return {}
        selected = self.controller.selectedSegmentID
        return {ID: self.controlled.mask(ID) for ID in self.controlled.segmentIDs() if ID != selected}

    @rule(kji=voxels, positive=st.booleans(), wait=st.booleans())
    def place_a_point(self, kji: tuple[int, int, int], positive: bool, wait: bool) -> None:
        self.act(self.controlled.place, kji, positive, wait)

    @rule()
    def place_a_point_outside(self) -> None:
        self.act(self.controlled.place, (900, 0, 0))

    @precondition(lambda self: self.settled and self.controller.points)
    @rule(number=numbers, kji=voxels)
    def drag_a_point(self, number: int, kji: tuple[int, int, int]) -> None:
        node = self.controller.positiveNode
        if node.GetNumberOfControlPoints() == 0:
            return
        index = number % node.GetNumberOfControlPoints()
        node.InvokeEvent(node.PointStartInteractionEvent)
        self.act(node.SetNthControlPointPositionWorld, index, *self.controlled.world(kji))
        self.controller.poll(0.01)
        node.InvokeEvent(node.PointEndInteractionEvent)

    @precondition(lambda self: self.settled and self.controller.points)
    @rule(number=numbers, what=st.sampled_from(["removePoint", "togglePoint", "jumpToPoint"]))
    def change_a_point(self, number: int, what: str) -> None:
        self.act(getattr(self.controller, what), number % len(self.controller.points))

    @rule(what=st.sampled_from(["clearPoints", "removeLastPoint", "cancel"]))
    def press_a_button(self, what: str) -> None:
        self.act(getattr(self.controller, what))

    @rule(what=st.sampled_from(["undo", "undo", "redo"]))
    def go_back_or_forth(self, what: str) -> None:
        getattr(self.controller, what)()  # it may go to another segment
        self.others, self.settled = {}, False

    @rule()
    def next_segment(self) -> None:
        self.controller.newSegment()
        self.settle()

    @precondition(lambda self: self.controller.segmentationNode is not None and self.controlled.segmentIDs())
    @rule(number=numbers, what=st.sampled_from(WHAT), corner=corners)
    def do_something_with_a_segment(self, number: int, what: str, corner: tuple[int, int, int]) -> None:
        IDs = self.controlled.segmentIDs()
        segmentID = IDs[number % len(IDs)]
        self.settle()
        if what == "select":
            self.controller.selectSegment(segmentID)
        elif what in ("lock", "unlock"):
            self.controller.setLocked(segmentID, what == "lock")
        elif what == "remove":
            self.controller.removeSegment(segmentID)
        elif what == "rename":
            self.controller.segmentationNode.GetSegmentation().GetSegment(segmentID).SetName(f"renamed {number}")
        else:
            self.controlled.paint(tuple(slice(low, low + 6) for low in corner), segmentID, 1 if what == "paint" else 0)
        self.settle()

    @rule(other=st.booleans())
    def change_the_scan(self, other: bool) -> None:
        self.settle()
        self.controlled.volumeNode = self.scans[int(other)]
        self.controller.setScan(self.controlled.volumeNode)
        self.settle()

    @rule(angle=st.floats(-1, 1))
    def move_the_scan(self, angle: float) -> None:
        import slicer

        self.settle()
        matrix = np.eye(4)
        matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        for scan in self.scans:
            scan.SetAndObserveTransformNodeID(self.transform.GetID())
        className = "vtkMRMLSegmentationNode"
        for number in range(slicer.mrmlScene.GetNumberOfNodesByClass(className)):
            slicer.mrmlScene.GetNthNodeByClass(number, className).SetAndObserveTransformNodeID(self.transform.GetID())
        slicer.util.updateTransformMatrixFromArray(self.transform, matrix)
        self.settle()

    @rule()
    def delete_a_list_of_points(self) -> None:
        import slicer

        self.settle()
        slicer.mrmlScene.RemoveNode(self.controller.negativeNode)
        self.settle()

    @rule()
    def close_and_come_back(self) -> None:
        self.settle()
        segmentationNode, selected = self.controller.segmentationNode, self.controller.selectedSegmentID
        self.controller.close()
        self.controlled = Controlled(self.controlled.volumeNode)
        self.controller.setSegmentation(segmentationNode)
        self.controller.selectSegment(selected)
        self.settle()

    @rule()
    def settle(self) -> None:
        self.controlled.settle()
        self.others, self.settled = {}, True

    @invariant()
    def everything_is_as_it_should_be(self) -> None:
        if not hasattr(self, "controlled"):
            return
        self.controlled.settle()
        for segmentID, mask in self.others.items():
            if segmentID in self.controlled.segmentIDs():
                assert (self.controlled.mask(segmentID) == mask).all(), "another segment changed"
        self.settled = True
        expected = {"outside the scan", "locked", "saved points"}
        unexpected = [text for text in self.controlled.messages if not any(words in text for words in expected)]
        assert unexpected == []
        shown = self.controller.points
        assert [point.number for point in shown] == list(range(len(shown)))
        if self.controller.selectedSegmentID:
            self.the_segment_is_what_its_clicks_lead_to()
        else:
            assert shown == []

    def the_segment_is_what_its_clicks_lead_to(self) -> None:
        edits, ID = self.controller._edits, self.controller.selectedSegmentID
        edits.noticeChange(ID)
        state = edits._states.of(ID)
        assert state.prompts == state.committed
        assert [click.positive for click in state.prompts.clicks] == [
            point.positive for point in self.controller.points
        ]
        replay = self.controller._inference._replay
        locked = any(self.controller.isLocked(other) for other in self.controlled.segmentIDs())
        if replay is None or locked or state.restored is not None:
            return
        if replay.starts is not self.controller._inference.starts:
            return  # of another scan: nothing was computed on this one yet
        found = self.controlled.mask()
        wanted = replay.mask_of(state.prompts)
        assert (wanted.within(_whole(found)) == found).all()

    def teardown(self) -> None:
        import slicer

        if hasattr(self, "controlled"):
            self.controller.close()
            slicer.mrmlScene.Clear(False)


def _whole(array: np.ndarray) -> Any:
    from MemorizingSAM3DLib.engine.geometry import Box

    return Box.whole(array.shape)


def test_any_sequence_of_user_actions_ends_well(a_scene):
    run_state_machine_as_test(
        AUser,
        settings=settings(
            max_examples=10,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
