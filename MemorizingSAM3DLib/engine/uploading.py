"""From the host to the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def uploaded(array: np.ndarray, device: torch.device) -> Tensor:
    """An array on a device. On the CPU it shares the array's memory; to a GPU it is copied without waiting.

    Pinned memory is what a GPU copies from by itself. PyTorch keeps and lends it again, and not before the copy is
    done (caching host allocator), so that nobody has to wait here.
    """
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
