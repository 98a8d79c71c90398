"""The shipped model in the panel: what was remembered on one scan helps on the next."""

from __future__ import annotations

import numpy as np
import pytest

from MemorizingSAM3DLib.scene.compute.model_choice import ModelChoice
from Testing.harness.application.waiting import processEvents
from Testing.harness.pythonqt.driver import clickOn

SHAPE = (44, 64, 64)  # voxels of 2.5 x 2 x 2 mm
CENTRE = (22, 30, 36)


@pytest.fixture
def a_choice():
    return ModelChoice(device="cpu")


def anOrgan(seed: int) -> np.ndarray:
    """(K, J, I) bool: a bean-shaped organ, of one size in everybody, in two halves of unlike brightness."""
    k, j, i = np.indices(SHAPE).astype(float)
    k, j, i = (2.5 * (k - CENTRE[0]), 2.0 * (j - CENTRE[1]), 2.0 * (i - CENTRE[2]))
    bend = 0.012 * k**2 - 4
    return (k / 32) ** 2 + ((j - bend) / 22) ** 2 + (i / (20 + seed % 2)) ** 2 < 1


def aScan(seed: int, name: str) -> tuple:
    """A CT of a body with a spine and the organ, whose halves differ so that one click does not find it all."""
    import slicer

    random = np.random.default_rng(seed)
    k, j, i = np.indices(SHAPE)
    body = ((j - 32) / 29) ** 2 + ((i - 32) / 31) ** 2 < 1
    voxels = np.where(body, 20.0, -1000.0)
    voxels[((j - 50) / 6) ** 2 + ((i - 32) / 6) ** 2 < 1] = 500.0
    organ = anOrgan(seed)
    voxels[organ] = np.where(k[organ] < CENTRE[0], 150.0, 60.0)
    voxels += random.normal(0, 12, SHAPE)
    node = slicer.util.addVolumeFromArray(voxels.astype(np.int16), np.diag([-2.0, -2.0, 2.5, 1.0]), name)
    return node, organ


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / max(float(a.sum() + b.sum()), 1.0)


def test_a_structure_that_was_remembered_on_one_scan_is_known_on_the_next_until_the_memory_is_cleared(
    a_workplace, a_scene, slicer_application, tmp_path
):
    (scan, organ), (nextScan, nextOrgan) = aScan(1, "first"), aScan(2, "second")
    ui, controller = a_workplace.ui, a_workplace.controller
    ui.caseMemoryFolderButton.directory = str(tmp_path / "memory")

    a_workplace.choose(nextScan)
    a_workplace.press("insideButton")
    a_workplace.click((14, 30, 36))
    plain = a_workplace.mask()
    assert controller.status.recalled is None

    a_workplace.press("insideButton")
    a_workplace.choose(scan)
    a_workplace.press("nextSegmentButton")
    controller.segmentationNode.GetSegmentation().GetSegment(controller.selectedSegmentID).SetName("Bean")
    import slicer

    slicer.util.updateSegmentBinaryLabelmapFromArray(
        organ.astype(np.uint8), controller.segmentationNode, controller.selectedSegmentID, scan
    )
    clickOn(ui.caseMemorySection)
    a_workplace.press("rememberCaseButton")
    dialog = next(part for part in a_workplace.module.widget.panel._parts if hasattr(part, "_dialog"))._dialog
    clickOn(dialog.ui.rememberButton)
    a_workplace.wait()
    assert a_workplace.errorText == ""
    assert "1 Bean" in ui.caseMemoryLabel.text

    a_workplace.choose(nextScan)
    assert (a_workplace.mask() == plain).all()
    a_workplace.press("nextSegmentButton")
    a_workplace.press("insideButton")
    a_workplace.click((14, 30, 36))
    told = a_workplace.mask()
    assert controller.status.recalled == "Bean"
    assert "began from what was remembered as 'Bean'" in ui.caseMemoryLabel.text
    assert dice(told, nextOrgan) > dice(plain, nextOrgan)

    slicer_application.dialogs.answer(True)
    a_workplace.press("clearCaseMemoryButton")
    processEvents()
    assert (a_workplace.mask() == told).all()
    a_workplace.press("nextSegmentButton")
    a_workplace.click((14, 30, 36))
    assert controller.status.recalled is None
    assert (a_workplace.mask() == plain).all()
