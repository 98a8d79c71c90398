from __future__ import annotations

import threading

import pytest

from MemorizingSAM3DLib.scene.case_memory_access import CaseMemoryFacts
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


def test_whether_a_model_has_an_interaction_memory_is_known_when_it_is_loaded(an_inference):
    assert statusOf(an_inference, None).hasInteractionMemory is None
    an_inference.prepare(lambda outcome: None)
    while an_inference.worker.poll(0.05):
        pass

    assert statusOf(an_inference, None).hasInteractionMemory is False


def test_what_the_memories_hold_is_told(an_inference):
    status = statusOf(an_inference, None, 3, "Liver", "Remembered.")

    assert status.caseMemory == an_inference.cases.facts == CaseMemoryFacts()
    assert (status.interactions, status.recalled, status.memoryNote) == (3, "Liver", "Remembered.")
