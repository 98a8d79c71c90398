"""Which device computes, and at which precision: chosen once, and said to the user."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import torch

from .bfloat16_check import cpu_computes_bfloat16
from .cuda_check import CudaState, check_cuda
from .errors import EngineError

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
