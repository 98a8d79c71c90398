"""When memory runs out, a session goes on with less, and says so; what the user made stays whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.runtime.device import Runtime
from MemorizingSAM3DLib.engine.runtime.out_of_memory import SMALL_BANK, MemoryExhaustedError, Rung, TorchMemory
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from Testing.engine.scarce_memory import CPU, ScarceMemory, TooLittleError, fail_at
from Testing.engine.small_memories import a_memory, a_network
from Testing.engine.small_sessions import SCAN, masks_of, same, some_clicks

GPU = Runtime(torch.device("cpu"), "float32", "NVIDIA Test 1, 8 GB")
NAMES = "CACHE", "BANK", "HALF", "CPU"


class Scarce:
    """A session whose decodes fail for want of memory when a test says so."""

    def __init__(self, failing=(), bank_size: int = 60, runtime: Runtime = GPU, memory: bool = True) -> None:
        network = a_network()
        self.memory = ScarceMemory()
        self.predictor = Predictor(
            network, runtime, interaction_memory=a_memory(network) if memory else None, bank_size=bank_size,
            device_memory=self.memory,
        )  # fmt: skip
        self.failing = set(failing)
        self.decodes = fail_at(network, "decode", self.failing)
        self.session = InteractiveSession(self.predictor)
        self.session.set_image(SCAN)

    def fail_next(self, count: int) -> None:
        """Lets so many of the next decodes fail."""
        self.failing.update(range(len(self.decodes) + 1, len(self.decodes) + 1 + count))

    @property
    def taken(self) -> tuple[str, ...]:
        return tuple(rung.name for rung in self.predictor.fallback.taken)


def test_with_enough_memory_nothing_is_given_up_and_nothing_said():
    plain = Scarce()
    masks_of(plain.session, some_clicks(3))
    assert plain.taken == () and plain.memory.done == []
    assert plain.predictor.fallback.warning is None


def test_a_click_for_which_memory_ran_out_gives_the_mask_that_it_gives_with_enough():
    clicks = some_clicks(4)
    wanted = masks_of(Scarce().session, clicks)
    scarce = Scarce()
    masks = masks_of(scarce.session, clicks[:2])
    scarce.fail_next(1)
    assert same(masks + masks_of(scarce.session, clicks[2:]), wanted) == [True] * 4
    assert scarce.taken == ("CACHE",) and scarce.memory.done == ["free"]


@pytest.mark.parametrize("failures", [1, 2, 3, 4])
def test_the_rungs_are_taken_in_order_each_tried_once(failures):
    scarce = Scarce()
    clicks = some_clicks(3)
    masks_of(scarce.session, clicks[:2])
    scarce.fail_next(failures)
    scarce.session.add_click(clicks[2])
    assert scarce.taken == NAMES[:failures]
    assert len([one for one in scarce.memory.done if one == "free"]) == failures


def test_what_failed_on_every_rung_fails_with_advice_and_the_session_is_whole():
    clicks = some_clicks(4)
    scarce = Scarce()
    session = scarce.session
    before = masks_of(session, clicks[:2])[-1]
    scarce.fail_next(5)
    with pytest.raises(MemoryExhaustedError, match="CPU .test. is full.*Close other programs"):
        session.add_click(clicks[2])
    assert session.clicks == tuple(clicks[:2])
    assert (session.mask == before).all()
    session.undo()
    session.redo()
    assert (session.mask == before).all()
    session.add_click(clicks[2])
    assert session.clicks == tuple(clicks[:3])


def test_history_from_before_a_fall_to_the_cpu_can_be_undone_redone_and_replayed():
    clicks = some_clicks(4)
    scarce = Scarce()
    masks = masks_of(scarce.session, clicks[:3])
    scarce.fail_next(4)
    masks += masks_of(scarce.session, clicks[3:])
    assert scarce.taken[-1] == "CPU"
    for mask in reversed(masks[:-1]):
        scarce.session.undo()
        assert (scarce.session.mask == mask).all()
    for mask in masks[1:]:
        scarce.session.redo()
        assert (scarce.session.mask == mask).all()
    scarce.session.remove_click(0)
    assert scarce.session.clicks == tuple(clicks[1:])


@settings(max_examples=6, deadline=None)
@given(st.sets(st.integers(1, 10), min_size=1, max_size=5))
def test_shortages_of_a_moment_change_no_mask_wherever_they_come(failing):
    lonely = {number for number in failing if number - 1 not in failing}  # the first rung helps each time
    clicks = some_clicks(3)
    scarce = Scarce(lonely)
    assert same(masks_of(scarce.session, clicks), masks_of(Scarce().session, clicks)) == [True] * 3
    assert scarce.taken in ((), ("CACHE",))


def test_dropped_crops_are_encoded_again_and_fewer_of_them_are_kept():
    scarce = Scarce()
    clicks = some_clicks(3)
    masks_of(scarce.session, clicks[:2])
    encodes, kept = scarce.predictor.encodes, scarce.predictor.embeddings
    scarce.fail_next(1)
    scarce.session.add_click(clicks[2])
    assert scarce.predictor.encodes > encodes
    assert scarce.predictor.embeddings == kept // 2


def test_a_predictor_that_keeps_a_crop_keeps_one_however_often_memory_runs_out():
    predictor = Scarce().predictor
    for _ in range(9):
        predictor.drop_crops()
    assert predictor.embeddings == 1


def test_after_the_second_rung_fewer_clicks_are_heard_as_if_that_had_been_set():
    clicks = some_clicks(SMALL_BANK + 3)
    last = len(clicks) - 1
    expected = Scarce()
    masks_of(expected.session, clicks[:last])
    expected.predictor.set_interaction_memory(True, SMALL_BANK)
    expected.session.add_click(clicks[last])
    scarce = Scarce()
    masks_of(scarce.session, clicks[:last])
    scarce.fail_next(2)
    scarce.session.add_click(clicks[last])
    assert scarce.taken == ("CACHE", "BANK")
    assert (scarce.session.mask == expected.session.mask).all()
    assert scarce.predictor.settings.interactions == SMALL_BANK


def test_a_size_that_is_set_after_the_second_rung_stays_below_it():
    scarce = Scarce({1, 2})
    scarce.session.add_click(some_clicks(1)[0])
    scarce.predictor.set_interaction_memory(True, 60)
    assert scarce.predictor.settings.interactions == SMALL_BANK
    scarce.predictor.set_interaction_memory(True, 5)
    assert scarce.predictor.settings.interactions == 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"memory": False}, ("CACHE", "CPU")),
        ({"bank_size": 3}, ("CACHE", "HALF", "CPU")),
        ({"runtime": Runtime(torch.device("cpu"), "bfloat16", "NVIDIA Test 2")}, ("CACHE", "BANK", "CPU")),
    ],
    ids=["no memory", "a small bank", "half precision already"],
)
def test_a_rung_on_which_nothing_is_gained_is_passed_over(options, expected):
    scarce = Scarce(range(1, len(expected) + 1), **options)
    scarce.session.add_click(some_clicks(1)[0])
    assert scarce.taken == expected


def test_after_the_third_rung_memories_are_kept_in_half_precision_and_say_nearly_the_same():
    clicks = some_clicks(4)
    scarce, plain = Scarce(), Scarce()
    for one in (scarce, plain):
        masks_of(one.session, clicks[:2])
    scarce.fail_next(3)
    for one in (scarce, plain):
        one.session.add_click(clicks[2])
    grid = plain.session._replay.state_of(plain.session._history.current).grid
    states = [one.session._replay.state_of(one.session._history.current) for one in (scarce, plain)]
    assert states[0].interactions[-1].dense.dtype == torch.float16
    assert scarce.predictor._interactions.bank._dense.key.dtype == torch.float16
    attended = [
        one.predictor.logits(grid, clicks[:3], None, state.interactions)
        for one, state in zip((scarce, plain), states, strict=True)
    ]
    np.testing.assert_allclose(*attended, atol=2e-2, rtol=2e-2)


def test_on_the_last_rung_every_module_that_computes_is_moved_and_the_runtime_is_the_cpus():
    scarce = Scarce(range(1, 5))
    scarce.session.add_click(some_clicks(1)[0])
    assert scarce.predictor.runtime is CPU
    assert [one for one in scarce.memory.done if one.startswith("move")] == [
        "move NativeSAM3D to cpu", "move NativeSAM3D to cpu", "move MemoryAttention to cpu",
    ]  # fmt: skip


def test_memories_made_in_bfloat16_are_heard_in_float32_after_a_fall():
    clicks = some_clicks(5)
    scarce = Scarce(runtime=Runtime(torch.device("cpu"), "bfloat16", "NVIDIA Test 2"))
    masks_of(scarce.session, clicks[:3])
    scarce.fail_next(3)
    masks_of(scarce.session, clicks[3:])
    assert scarce.predictor.runtime is CPU
    past = scarce.session._replay.state_of(scarce.session._history.current).interactions
    assert len(past) == len(clicks)


def test_a_full_host_is_no_reason_to_leave_the_gpu_or_to_shrink_what_is_on_it():
    scarce = Scarce(runtime=Runtime(torch.device("meta"), "float32", "NVIDIA Test 1"), memory=False)
    calls = []

    def full():
        calls.append(1)
        raise MemoryError

    with pytest.raises(MemoryExhaustedError, match="The computer's memory is full"):
        scarce.predictor.fallback.run(full)
    assert scarce.taken == ("CACHE",) and len(calls) == 2


def test_memory_that_runs_out_outside_of_the_network_is_met_in_the_same_way():
    clicks = some_clicks(2)
    scarce = Scarce(runtime=CPU)
    fail_at(scarce.session._replay._refiner, "refine", {2}, MemoryError)
    assert same(masks_of(scarce.session, clicks), masks_of(Scarce().session, clicks)) == [True, True]
    assert scarce.taken == ("CACHE",)


def test_another_error_is_none_of_the_ladders_business():
    scarce = Scarce()
    calls = []

    def broken():
        calls.append(1)
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        scarce.predictor.fallback.run(broken)
    assert len(calls) == 1 and scarce.taken == ()


def test_what_was_given_up_is_said_in_one_sentence_with_what_to_do():
    scarce = Scarce({1, 2})
    scarce.session.add_click(some_clicks(1)[0])
    warning = scarce.predictor.fallback.warning
    assert warning.startswith("The memory of NVIDIA Test 1, 8 GB ran out")
    assert Rung.CACHE.value in warning and Rung.BANK.value in warning and Rung.CPU.value not in warning
    assert warning.endswith("Close other programs to have more.")


def test_after_a_fall_the_warning_names_the_device_that_was_left_and_how_to_go_back():
    scarce = Scarce(range(1, 5))
    scarce.session.add_click(some_clicks(1)[0])
    warning = scarce.predictor.fallback.warning
    assert "NVIDIA Test 1" in warning and "on the CPU now" in warning and "To go back" in warning


@pytest.mark.parametrize(
    ("error", "shortage"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), "device"),
        (RuntimeError("CUDA error: out of memory"), "device"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "device"),
        (MemoryError("Unable to allocate 512. MiB for an array"), "host"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"), "host"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."), "host"),
        (RuntimeError("ITK ERROR: Failed to allocate memory for image."), "host"),
        (RuntimeError("CUDA error: device-side assert triggered"), None),
        (ValueError("not enough memory"), None),
        (EngineError("The scan is empty.", "Choose another."), None),
    ],
)
def test_whose_memory_ran_out_is_told_from_the_error(error, shortage):
    assert TorchMemory().shortage(error) == shortage


def test_an_allocation_that_no_computer_grants_is_a_shortage():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**62, dtype=torch.int8)
    assert TorchMemory().shortage(raised.value) == "host"


def test_the_cpu_is_the_last_resort_and_has_none_itself():
    assert TorchMemory().fallback(Runtime(torch.device("cuda"), "bfloat16", "GPU")).device.type == "cpu"
    assert TorchMemory().fallback(CPU) is None


def test_freeing_and_moving_work_where_there_is_no_gpu():
    layer, device = torch.nn.Linear(2, 2), TorchMemory()
    device.free_cache()
    device.move_to(layer, torch.device("meta"))
    assert layer.weight.is_meta


def test_the_error_that_is_gone_holds_no_tensor_while_memory_is_freed():
    """An exception's frames keep what they allocated alive: freeing within its handler would free nothing."""
    import weakref

    scarce, alive, seen = Scarce(), [], []

    def hungry():
        large = torch.zeros(8)
        if not alive:
            alive.append(weakref.ref(large))
            raise TooLittleError
        return large.sum()

    scarce.memory.free_cache = lambda: seen.append(alive[0]() is None)
    scarce.predictor.fallback.run(hungry)
    assert seen == [True]
