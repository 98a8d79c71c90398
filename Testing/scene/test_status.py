from __future__ import annotations

import logging
import threading

import pytest

from MemorizingSAM3DLib.engine.errors import ClickError
from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.runtime.cuda_graphs import GraphedCalls
from MemorizingSAM3DLib.engine.runtime.out_of_memory import OutOfMemoryFallback, Rung
from MemorizingSAM3DLib.scene.compute.case_memory import CaseMemoryFacts
from MemorizingSAM3DLib.scene.compute.engine_thread import Inference
from MemorizingSAM3DLib.scene.scan import ScanInput
from MemorizingSAM3DLib.scene.status import messageOf, statusOf
from Testing.engine.replaying import ReplayingBackend
from Testing.engine.scarce_memory import CPU, ScarceMemory, fail_at
from Testing.scene.quick_model import QuickModel


def test_an_error_that_is_meant_for_the_user_is_told_as_it_is_and_not_logged(caplog):
    assert messageOf(ClickError("It lies outside.", "Move it.")) == "It lies outside. Move it."
    assert caplog.records == []


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    ],
    ids=["Python", "CUDA", "Linux", "Windows"],
)
def test_a_lack_of_memory_is_told_with_what_helps_on_any_system(error, caplog):
    message = messageOf(error)

    assert message.startswith("There is not enough memory")
    assert "Close other scans" in message


@pytest.mark.parametrize(("error", "words"), [(ValueError("so what"), "so what"), (KeyError(), "KeyError")])
def test_what_nobody_foresaw_is_told_briefly_and_logged_with_its_traceback(error, words, caplog):
    with caplog.at_level(logging.ERROR):
        message = messageOf(error)

    assert words in message
    assert "report it" in message
    assert caplog.records[0].exc_info[1] is error


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


def test_where_the_interaction_memory_is_not_heard_the_kinds_of_scans_it_is_for_are_told(an_inference, monkeypatch):
    an_inference.prepare(lambda outcome: None)
    while an_inference.worker.poll(0.05):
        pass
    assert statusOf(an_inference, None).interactionMemoryScans == ()

    predictor = an_inference.loaded.predictor
    monkeypatch.setattr(type(predictor), "memory_modalities", ("CT", "PET", "PT"))
    for modality, told in (("MR", ("CT", "PET")), (None, ("CT", "PET")), ("PT", ()), ("CT", ())):
        monkeypatch.setattr(predictor, "_modality", modality)
        assert statusOf(an_inference, None).interactionMemoryScans == told


def test_what_the_memories_hold_is_told(an_inference):
    status = statusOf(an_inference, None, 3, "Liver", "Remembered.")

    assert status.caseMemory == an_inference.cases.facts == CaseMemoryFacts()
    assert (status.interactions, status.recalled, status.memoryNote) == (3, "Liver", "Remembered.")


@pytest.mark.parametrize("failures", [1, 2])
def test_what_was_given_up_when_memory_ran_out_is_told_beside_the_models_own_warning(an_inference, failures):
    an_inference.prepare(lambda outcome: None)
    while an_inference.worker.poll(0.05):
        pass
    predictor = an_inference.loaded.predictor
    predictor.fallback = OutOfMemoryFallback(predictor, ScarceMemory())
    fail_at(predictor.network, "encode", range(1, failures + 1))
    predictor.features(CropGrid((0.0, 0.0, 0.0), 1.0, 64))
    status = statusOf(an_inference, None)

    assert status.warning.startswith("Running on the CPU: slower. The memory of ")
    assert Rung.CACHE.value in status.warning
    assert (Rung.CPU.value in status.warning) == (failures == 2)
    assert status.device == ("CPU (test)" if failures == 1 else CPU.description)


@pytest.mark.parametrize("error", [None, RuntimeError("operation not permitted when stream is capturing")])
def test_a_device_that_works_without_cuda_graphs_is_told(an_inference, error):
    an_inference.prepare(lambda outcome: None)
    while an_inference.worker.poll(0.05):
        pass
    predictor = an_inference.loaded.predictor
    predictor.graphs = GraphedCalls(ReplayingBackend(error), ScarceMemory())
    predictor.features(CropGrid((0.0, 0.0, 0.0), 1.0, 64))

    assert statusOf(an_inference, None).device == ("CPU (test), without CUDA graphs" if error else "CPU (test)")
