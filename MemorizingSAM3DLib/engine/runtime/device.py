"""Which device computes, and at which precision: chosen once, and said to the user.

Whether this processor gains from bfloat16: it multiplies in it by itself, and rightly.

Memory that the network's layers free and ask for again, kept by the process between the two.

A click takes and frees some hundred MB in blocks of 1 to 16 MB. By default glibc gives such blocks back to the system
at once, and the system fills each new one with zeros: a quarter of a click's time on a CPU.
"""

from __future__ import annotations

import ctypes
import platform
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch.nn import functional

from ..errors import EngineError
from .cuda_check import CudaState, check_cuda

#: Largest error of a product or a convolution, relative to the largest result; bfloat16 has 8 bits of precision.
TOLERANCE = 2e-2
# Where bfloat16 is emulated it is slower than float32. PyTorch has no public question for these yet.
_INSTRUCTIONS = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


@cache
def cpu_computes_bfloat16() -> bool:
    """Whether the processor has AMX or AVX-512 BF16, and PyTorch computes with it what it computes in float32.

    Asked once a process; takes some milliseconds.
    """
    asked = (getattr(torch.cpu, name, None) for name in _INSTRUCTIONS)
    if not any(ask is not None and ask() for ask in asked):
        return False
    try:
        return largest_error() <= TOLERANCE
    except RuntimeError:  # this build of PyTorch has no such kernel
        return False


def largest_error() -> float:
    """What a product and a convolution in bfloat16 are off by, relative to the largest result in float32."""
    generator = torch.Generator().manual_seed(0)
    tokens, weight = (torch.randn(*shape, generator=generator) for shape in ((64, 256), (128, 256)))
    crop, kernel = (torch.randn(*shape, generator=generator) for shape in ((1, 16, 12, 12, 12), (16, 16, 3, 3, 3)))
    errors = []
    with torch.inference_mode():
        for work, inputs in (
            (functional.linear, (tokens, weight)),
            (functional.conv3d, (crop, kernel)),
        ):
            exact = work(*inputs)
            found = work(*(part.bfloat16() for part in inputs)).float()
            errors.append(float((found - exact).abs().max() / exact.abs().max()))
    return max(errors)


Precision = Literal["auto", "fastest", "float32", "bfloat16"]


class DeviceError(EngineError):
    """The device that was asked for cannot compute."""


@dataclass(frozen=True)
class Runtime:
    """A device and a precision, with what the user should know about them.

    Attributes:
        warning: plain words when this is slower than it could be (no CUDA GPU), else None.
    """

    device: torch.device
    precision: Literal["float32", "bfloat16"]
    name: str
    warning: str | None = None

    def autocast(self) -> torch.autocast:
        """The context in which networks run."""
        # No cache of cast weights: a recorded CUDA graph would read it after it is gone. Only weights that are trained
        # would be in it anyway.
        enabled = self.precision == "bfloat16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled, cache_enabled=False)

    @property
    def description(self) -> str:
        """For example ``CPU (2 threads), float32``."""
        return f"{self.name}, {self.precision}"


def choose_runtime(device: str = "auto", precision: Precision = "auto") -> Runtime:
    """The CUDA GPU if it can really compute, else the CPU; ``cuda`` and ``cpu`` ask for one by name.

    At ``auto`` precision a GPU computes in bfloat16 and a CPU in float32, so that all CPUs give the same masks up to
    rounding; at ``fastest`` a CPU takes bfloat16, too, where it gains by that (see `cpu_computes_bfloat16`).

    Raises:
        DeviceError: CUDA was asked for by name and cannot be used, or the device is none of these.
    """
    if device not in ("auto", "cpu", "cuda") and not re.fullmatch(r"cuda:\d+", device):
        raise DeviceError(f"There is no device called {device!r} here.", "Choose auto, cpu, cuda or cuda:0.")
    problem = None if device == "cpu" else cuda_problem()
    if device.startswith("cuda") and problem:
        raise DeviceError(problem, "Choose the CPU, or install a PyTorch that fits this GPU and its driver.")
    if device != "cpu" and problem is None:
        chosen = torch.device("cuda" if device == "auto" else device)
        gigabytes = torch.cuda.get_device_properties(chosen).total_memory / 1e9
        name = f"{torch.cuda.get_device_name(chosen)}, {gigabytes:.0f} GB"
        return Runtime(chosen, "float32" if precision == "float32" else "bfloat16", name)
    warning = f"Running on the CPU: slower than on a GPU. {problem}" if problem else None
    chosen_precision: Literal["float32", "bfloat16"] = "float32"
    if precision == "bfloat16" or (precision == "fastest" and cpu_computes_bfloat16()):
        chosen_precision = "bfloat16"
    return Runtime(torch.device("cpu"), chosen_precision, f"CPU ({torch.get_num_threads()} threads)", warning)


def cuda_problem() -> str | None:
    """Why CUDA cannot be used, or None: availability, the GPU's architecture in this PyTorch, and a kernel run.

    With the remedy if there is a GPU; whoever has none needs none.
    """
    check = check_cuda(torch)
    if check.works:
        return None
    return check.sentence if check.state in (CudaState.NO_GPU, CudaState.CPU_BUILD) else str(check)


MOST_KEPT_BYTES = 256 << 20  # freed and not given back
_LARGEST_BLOCK = 32 << 20  # glibc's own limit; larger ones, such as scans, come from the system and go back to it
_STEP = 64 << 20  # asked of the system at a time
# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


@cache
def tune_allocator() -> bool:
    """Lets the process keep up to :data:`MOST_KEPT_BYTES` of freed memory; once is enough.

    Returns:
        whether it does: only glibc, so Linux, can be asked for it. Elsewhere nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_THRESHOLD, _LARGEST_BLOCK), (_M_TRIM_THRESHOLD, MOST_KEPT_BYTES), (_M_TOP_PAD, _STEP))
    return all(mallopt(setting, value) == 1 for setting, value in settings)
