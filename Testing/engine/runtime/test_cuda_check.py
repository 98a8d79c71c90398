"""Fakes for GPUs that are not here; the arithmetic itself runs on the CPU."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from MemorizingSAM3DLib.engine.runtime.cuda_check import CudaState, check_cuda, is_covered

CU130 = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
CU126 = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]


def a_torch(capability=None, architectures=(), cuda="13.0", init="Found no NVIDIA driver on your system.", **changes):
    """A PyTorch whose `cuda` answers as told; what it computes, it computes on the CPU."""

    def fail():
        raise RuntimeError(init)

    return SimpleNamespace(
        version=SimpleNamespace(cuda=cuda, hip=None),
        cuda=SimpleNamespace(
            is_available=lambda: capability is not None,
            get_device_capability=lambda device: capability,
            get_arch_list=lambda: list(architectures),
            get_device_name=lambda device: "NVIDIA Test 1",
            init=fail,
        ),
        **{
            "arange": torch.arange,
            "ones": torch.ones,
            "equal": torch.equal,
            "float32": torch.float32,
            "nn": torch.nn,
            **changes,
        },
    )


def check(*arguments, **keywords):
    return check_cuda(a_torch(*arguments, **keywords), device="cpu")


def test_a_gpu_whose_results_are_right_works():
    found = check((8, 6), CU130)

    assert found.works
    assert str(found) == "NVIDIA Test 1 computes (sm_86)."


def test_no_gpu():
    found = check()

    assert found.state is CudaState.NO_GPU
    assert "install its driver" in found.remedy


def test_an_old_driver_is_told_from_none():
    found = check(init="The NVIDIA driver on your system is too old (found version 11040).\nPlease update it")

    assert found.state is CudaState.OLD_DRIVER
    assert "too old for CUDA 13.0" in found.sentence
    assert "Update the driver" in found.remedy


def test_a_pytorch_without_cuda():
    found = check(cuda=None)

    assert found.state is CudaState.CPU_BUILD
    assert "built without CUDA" in found.sentence


def test_a_gpu_newer_than_this_pytorch():
    found = check((12, 0), CU126)

    assert found.state is CudaState.NEW_GPU
    assert "sm_120; it has sm_50" in found.sentence
    assert "install a newer one" in found.remedy


def test_a_gpu_that_pytorch_has_given_up():
    found = check((6, 1), CU130)

    assert found.state is CudaState.OLD_GPU
    assert "the CPU is used" in found.remedy


def test_kernels_that_fail():
    def failing(*sizes):
        raise RuntimeError("CUDA error: no kernel image is available\nfor execution on the device")

    found = check((8, 6), CU130, ones=failing)

    assert found.state is CudaState.BROKEN
    assert "no kernel image is available for execution" in found.sentence


def test_kernels_that_compute_nonsense():
    found = check((8, 6), CU130, equal=lambda a, b: False)

    assert found.state is CudaState.BROKEN
    assert "results are wrong" in found.sentence


def test_amds_builds_name_their_architectures_otherwise():
    fake = a_torch((9, 0), ["gfx90a"], cuda=None)
    fake.version.hip = "6.4"

    assert check_cuda(fake, device="cpu").works


@pytest.mark.parametrize(
    "capability, architectures",
    [
        ((8, 6), ["sm_86"]),
        ((8, 9), ["sm_86"]),  # machine code runs on a newer minor
        ((12, 0), ["compute_80"]),  # PTX runs on all that is newer
        ((12, 0), ["compute_120"]),
        ((9, 0), ["sm_90a"]),
        ((12, 1), ["sm_120"]),
        ((10, 3), ["sm_100f"]),
    ],
)
def test_architectures_that_run(capability, architectures):
    assert is_covered(capability, ["sm_50", *architectures])


@pytest.mark.parametrize(
    "capability, architectures",
    [
        ((8, 0), ["sm_86"]),  # not on an older minor
        ((9, 0), ["sm_80", "sm_86"]),  # nor on another major
        ((7, 5), ["compute_80"]),
        ((10, 0), ["sm_90a"]),
        ((9, 1), ["sm_90a"]),
        ((8, 6), ["gfx90a", ""]),
    ],
)
def test_architectures_that_do_not(capability, architectures):
    assert not is_covered(capability, architectures)


def test_the_real_pytorch_answers_in_a_sentence():
    found = check_cuda()

    assert found.works or found.remedy
    assert found.sentence.endswith(".")
