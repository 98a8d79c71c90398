"""Numbers drawn on the host, given to the device without waiting for it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor


def to_device(values: ArrayLike, device: torch.device) -> Tensor:
    """Values as a tensor on the device, float32 (bool stays bool).

    A copy that blocks would wait for all that the device still has to do; these few numbers are staged by the driver
    before the call returns, so that their array may go.
    """
    array = np.asarray(values)
    array = array if array.dtype == np.bool_ else array.astype(np.float32)
    return torch.from_numpy(array).to(device, non_blocking=True)


def column(values: ArrayLike, device: torch.device) -> Tensor:
    """One value for each of a batch of volumes: (B, 1, 1, 1)."""
    return to_device(values, device)[:, None, None, None]
