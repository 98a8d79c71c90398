"""A controller on a scan, as a user and a test have it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from MemorizingSAM3DLib.scene.segments.segmentation import addSegment
from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter
from Testing.engine.file_server import a_server
from Testing.engine.model_host import a_host
from Testing.scene.controlled import Controlled, addBlocks
from Testing.scene.quick_model import QuickModel

__all__ = ["a_host", "a_server"]


@pytest.fixture
def a_controlled(a_scene: Any, an_oblique_matrix: np.ndarray) -> Iterator[Controlled]:
    controlled = Controlled(addBlocks(an_oblique_matrix))
    yield controlled
    controlled.controller.close()


@pytest.fixture
def a_faithful_one(a_scene: Any, an_oblique_matrix: np.ndarray) -> Iterator[Controlled]:
    """The model keeps what it is given, but for what a click says."""
    controlled = Controlled(addBlocks(an_oblique_matrix), QuickModel(memory=0.95))
    yield controlled
    controlled.controller.close()


@pytest.fixture
def a_slow_one(a_scene: Any, an_oblique_matrix: np.ndarray) -> Iterator[Any]:
    """The model keeps what it is given, but for what a click says, and waits until `gate` is set."""
    gate = threading.Event()
    controlled: Any = Controlled(addBlocks(an_oblique_matrix), QuickModel(gate=gate, memory=0.95))
    controlled.gate = gate
    yield controlled
    gate.set()
    controlled.controller.close()


@pytest.fixture
def a_segment(a_segmentation_node: Any) -> str:
    """The segment that is written."""
    return addSegment(a_segmentation_node, "ours")


@pytest.fixture
def a_neighbour(a_segmentation_node: Any, a_segment: str) -> str:
    return addSegment(a_segmentation_node, "neighbour")


@pytest.fixture
def a_writer(a_segmentation_node: Any, a_segment: str, a_volume_node: Any) -> SegmentWriter:
    return SegmentWriter(a_segmentation_node, a_segment, a_volume_node)
