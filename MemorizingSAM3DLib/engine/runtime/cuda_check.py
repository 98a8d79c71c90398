"""Whether the GPU really computes: driver, PyTorch's build, the GPU's architecture, and a kernel whose result is known.

`torch.cuda.is_available()` alone says yes for GPUs that this PyTorch has no kernels for; they fail at the first click.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([a-z]?)")
_SIZE = 8


class CudaState(Enum):
    """What was found."""

    WORKS = "works"
    NO_GPU = "no GPU"
    CPU_BUILD = "PyTorch without CUDA"
    OLD_DRIVER = "driver too old"
    NEW_GPU = "GPU too new for this PyTorch"
    OLD_GPU = "GPU too old for this PyTorch"
    BROKEN = "kernels fail"


@dataclass(frozen=True)
class CudaCheck:
    """What was found, as a sentence, and what the user can do about it ("" if it works).

    Attributes:
        capability: the GPU's compute capability, (12, 0) for sm_120; None without one.
    """

    state: CudaState
    sentence: str
    remedy: str = ""
    capability: tuple[int, int] | None = None

    @property
    def works(self) -> bool:
        """Whether the GPU can be used."""
        return self.state is CudaState.WORKS

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


def check_cuda(torch: Any = None, device: str = "cuda") -> CudaCheck:
    """Looks, and computes something small on the GPU. Takes a second or two the first time.

    Args:
        torch: the module; imported if it is None.
        device: cuda or cuda:0.
    """
    if torch is None:
        import torch
    if not torch.cuda.is_available():
        return _unavailable(torch)
    where = () if device == "cuda" else (device,)
    capability = tuple(torch.cuda.get_device_capability(*where))
    name = _name(torch, where)
    architectures = list(torch.cuda.get_arch_list())
    if not getattr(torch.version, "hip", None) and not is_covered(capability, architectures):
        return _not_covered(name, capability, architectures)
    problem = _computing_problem(torch, device)
    if problem:
        return CudaCheck(
            CudaState.BROKEN,
            f"The GPU cannot compute: {problem}",
            "Update the GPU's driver, restart the computer, and close other programs that use the GPU.",
            capability,
        )
    return CudaCheck(CudaState.WORKS, f"{name} computes (sm_{capability[0]}{capability[1]}).", "", capability)


def is_covered(capability: tuple[int, int], architectures: list[str]) -> bool:
    """Whether a build of PyTorch has code that runs on a GPU.

    Machine code (sm_86) runs on GPUs of the same major and at least the same minor capability, the variants with an "a"
    (sm_90a) on exactly theirs; PTX (compute_80) is compiled by the driver for any GPU as new or newer. (CUDA C++
    Programming Guide, binary and PTX compatibility.)

    Args:
        capability: major and minor. architectures: as `torch.cuda.get_arch_list` gives them.
    """
    for text in architectures:
        match = _ARCHITECTURE.fullmatch(text)
        if match is None:
            continue
        built = (int(match[2]), int(match[3]))
        if match[4] == "a":
            runs = built == capability
        elif match[1] == "compute":
            runs = built <= capability
        else:
            runs = built[0] == capability[0] and built[1] <= capability[1]
        if runs:
            return True
    return False


def _unavailable(torch: Any) -> CudaCheck:
    if not torch.version.cuda and not getattr(torch.version, "hip", None):
        return CudaCheck(
            CudaState.CPU_BUILD,
            "No CUDA GPU was found by PyTorch: this PyTorch was built without CUDA.",
            "If there is an NVIDIA GPU, install PyTorch anew (Settings, MemorizingSAM3D, Repair) with GPU support.",
        )
    try:
        torch.cuda.init()
        said = ""
    except (RuntimeError, AssertionError) as error:
        said = " ".join(str(error).split())
    if "driver" in said and "too old" in said:
        return CudaCheck(
            CudaState.OLD_DRIVER,
            f"No CUDA GPU was found by PyTorch: the NVIDIA driver is too old for CUDA {torch.version.cuda}.",
            "Update the driver (https://www.nvidia.com/drivers) and restart the computer.",
        )
    return CudaCheck(
        CudaState.NO_GPU,
        "No CUDA GPU was found by PyTorch.",
        "If there is an NVIDIA GPU, install its driver (https://www.nvidia.com/drivers) and restart the computer.",
    )


def _not_covered(name: str, capability: tuple[int, int], architectures: list[str]) -> CudaCheck:
    major, minor = capability
    sentence = (
        f"This PyTorch has no kernels for the GPU (sm_{major}{minor}; it has {', '.join(architectures)}): {name}."
    )
    built = [(int(match[2]), int(match[3])) for match in map(_ARCHITECTURE.fullmatch, architectures) if match]
    if built and capability > max(built):
        remedy = "The GPU is newer than this PyTorch: install a newer one (Settings, MemorizingSAM3D, Repair)."
        return CudaCheck(CudaState.NEW_GPU, sentence, remedy, capability)
    remedy = "PyTorch no longer supports this GPU: the CPU is used. A PyTorch for an older CUDA may still have it."
    return CudaCheck(CudaState.OLD_GPU, sentence, remedy, capability)


def _name(torch: Any, where: tuple[str, ...]) -> str:
    try:
        return str(torch.cuda.get_device_name(*where))
    except (RuntimeError, AssertionError):
        return "the GPU"


def _computing_problem(torch: Any, device: str) -> str:
    """What goes wrong in a matrix product and a convolution of small whole numbers; "" if both are exact.

    The products stay below 2^24, and their factors below 2^10, so that float32 and TF32 are exact as well.
    """
    try:
        ones = torch.ones(1, 1, 4, 4, 4)
        sums = torch.nn.functional.conv3d(ones.to(device), ones[..., :3, :3, :3].to(device)).cpu()
        numbers = torch.arange(_SIZE * _SIZE, dtype=torch.float32).reshape(_SIZE, _SIZE)
        product = (numbers.to(device) @ numbers.to(device)).cpu()
    except (RuntimeError, AssertionError) as error:
        return " ".join(str(error).split())[:300]
    if not torch.equal(product, numbers @ numbers) or not bool((sums == 27).all()):
        return "its results are wrong."
    return ""
