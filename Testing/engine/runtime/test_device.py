"""The device is chosen once, by what it can really do, and said in words."""

from __future__ import annotations

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from MemorizingSAM3DLib.engine.runtime import device
from MemorizingSAM3DLib.engine.runtime import device as runtime
from MemorizingSAM3DLib.engine.runtime.cuda_check import CudaCheck, CudaState
from MemorizingSAM3DLib.engine.runtime.device import DeviceError, choose_runtime, cuda_problem

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")
_COUNT_NEW_PAGES = """
import resource, sys, numpy as np
from MemorizingSAM3DLib.engine.runtime.device import tune_allocator
if sys.argv[1] == "kept":
    assert tune_allocator()
def work():
    for _ in range(20):
        blocks = [np.ones(1 << 20, np.float32) for _ in range(6)]  # 4 MB each
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _COUNT_NEW_PAGES, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@needs_glibc
def test_blocks_that_are_freed_and_asked_for_again_cost_no_new_pages():
    assert new_pages("kept") < 0.05 * new_pages("given back")


def test_where_there_is_no_glibc_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(device.platform, "libc_ver", lambda: ("", ""))
    assert device.tune_allocator.__wrapped__() is False


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def with_gpu(monkeypatch):
    """A GPU that answers every question, as far as the choice asks; nothing is computed on it."""
    monkeypatch.setattr(runtime, "cuda_problem", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA Test 1")
    properties = SimpleNamespace(total_memory=24_100_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)


def test_the_cpu_computes_in_float32_unless_asked_otherwise():
    assert choose_runtime("cpu").precision == "float32"
    assert choose_runtime("cpu", "bfloat16").precision == "bfloat16"


def test_the_cpu_asked_for_by_name_comes_without_a_warning():
    assert choose_runtime("cpu").warning is None


def test_without_a_gpu_the_cpu_is_taken_and_the_user_told_why(without_gpu):
    chosen = choose_runtime()
    assert chosen.device.type == "cpu"
    assert "slower" in chosen.warning
    assert "No CUDA GPU" in chosen.warning


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_cuda_asked_for_by_name_is_refused_when_it_is_not_there(without_gpu, device):
    with pytest.raises(DeviceError, match="Choose the CPU"):
        choose_runtime(device)


@pytest.mark.parametrize("device", ["gpu", "mps", "cuda:x", "", "CPU"])
def test_a_device_that_nobody_knows_is_refused_rather_than_replaced(without_gpu, device):
    with pytest.raises(DeviceError, match="no device called"):
        choose_runtime(device)


def test_a_gpu_that_works_is_taken_and_computes_in_bfloat16(with_gpu):
    chosen = choose_runtime()
    assert (chosen.device.type, chosen.precision, chosen.warning) == ("cuda", "bfloat16", None)
    assert chosen.description == "NVIDIA Test 1, 24 GB, bfloat16"


def test_a_gpu_computes_in_float32_when_asked(with_gpu):
    assert choose_runtime("cuda:1", "float32") == runtime.Runtime(
        torch.device("cuda:1"), "float32", "NVIDIA Test 1, 24 GB"
    )


def test_the_cpu_can_be_had_beside_a_gpu(with_gpu):
    assert choose_runtime("cpu").device.type == "cpu"


def test_the_description_names_threads_and_precision():
    assert choose_runtime("cpu").description == f"CPU ({torch.get_num_threads()} threads), float32"


def test_a_gpu_that_this_pytorch_has_no_kernels_for_is_a_problem(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (3, 5))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90"])
    assert "no kernels for the GPU (sm_35" in cuda_problem()


def test_a_gpu_whose_kernels_fail_is_a_problem(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 6))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80"])

    def failing(*args, **kwargs):
        raise RuntimeError("device-side assert")

    monkeypatch.setattr(torch, "ones", failing)
    assert "device-side assert" in cuda_problem()


def test_only_who_has_a_gpu_is_told_what_to_do_about_it(monkeypatch):
    for found, told in (
        (CudaCheck(CudaState.NO_GPU, "No GPU.", "Buy one."), "No GPU."),
        (CudaCheck(CudaState.OLD_DRIVER, "The driver is old.", "Update it."), "The driver is old. Update it."),
        (CudaCheck(CudaState.WORKS, "It computes."), None),
    ):
        monkeypatch.setattr(runtime, "check_cuda", lambda torch, found=found: found)
        assert cuda_problem() == told


def test_autocast_follows_the_precision():
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with choose_runtime("cpu", precision).autocast():
            assert torch.nn.functional.linear(torch.ones(2, 4), torch.ones(3, 4)).dtype == dtype
