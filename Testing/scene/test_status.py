from __future__ import annotations

import threading

import pytest

from MemorizingSAM3DLib.scene.inference import Inference
from MemorizingSAM3DLib.scene.scan_input import ScanInput
from MemorizingSAM3DLib.scene.status import statusOf
from Testing.scene.quick_model import QuickModel


@pytest.fixture
def an_inference(a_volume_node):
    inference = Inference(QuickModel())
    inference.setScan(ScanInput.of(a_volume_node))
    yield inference
    inference.close()


def test_before_anything_was_asked_nothing_is_known_and_nothing_can_be_cancelled(an_inference):
    status = statusOf(an_inference, None)

    assert (status.model, status.device, status.warning) == ("", "", None)
    assert (status.busy, status.progress, status.canCancel) == (None, None, False)
    assert status.lastClickMilliseconds is None


def test_a_loaded_model_is_named_with_its_device_and_its_warning(an_inference):
    an_inference.prepare(lambda outcome: None)
    while an_inference.worker.poll(0.05):
        pass
    status = statusOf(an_inference, 12.5)

    assert (status.model, status.device) == ("Quick", "CPU (test)")
    assert "slower" in status.warning
    assert status.lastClickMilliseconds == 12.5


def test_work_is_told_until_it_is_delivered_and_can_be_cancelled_once(an_inference):
    reported, go = threading.Event(), threading.Event()

    def work(job):
        job.report("Encoding the scan", 0.5)
        reported.set()
        go.wait(5)

    an_inference.worker.submit(work, lambda outcome: None)
    assert reported.wait(5)
    status = statusOf(an_inference, None)
    assert (status.busy, status.progress, status.canCancel) == ("Encoding the scan", 0.5, True)
    an_inference.worker.cancel()
    assert not statusOf(an_inference, None).canCancel
    go.set()
    while an_inference.worker.poll(0.05):
        pass
    assert statusOf(an_inference, None).busy is None


def test_memories_that_are_not_there_are_said_not_to_be(an_inference):
    status = statusOf(an_inference, None)

    assert status.caseMemory == status.interactionMemory == "Not part of this version."
