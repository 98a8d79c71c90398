"""Matrix products of arrays, on PyTorch's threads or its GPU.

NumPy's BLAS has threads of its own, which wait busily for some 25 ms after each product. The network that is asked next
then shares the cores with them: on two cores it takes half as long again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b``, of matrices or of stacks of them.

    Args:
        a, b: of one floating type; any strides that are not negative.
    """
    import torch  # here: it takes seconds to load, and Slicer's panel loads this package

    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        result: np.ndarray = torch.matmul(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    return result


def along_axes(values: np.ndarray, weights: list[np.ndarray], device: torch.device | None = None,
               signs: bool = False) -> np.ndarray:  # fmt: skip
    """A (K, J, I) array multiplied along each axis by a matrix: (n, K), (n', J), (n'', I), all float32.

    Args:
        device: where; None: the CPU. signs: only whether the results are positive, which is found there, so that
            a byte a voxel comes back.

    Returns:
        (n, n', n'') float32, or bool.
    """
    import torch

    place = device or torch.device("cpu")
    with torch.no_grad(), torch.autocast(place.type, enabled=False):
        along_k, along_j, along_i = (torch.from_numpy(np.ascontiguousarray(one)).to(place) for one in weights)
        source = torch.from_numpy(np.ascontiguousarray(values)).to(place)
        _, j, i = source.shape
        done = along_k @ source.flatten(1)
        done = along_j @ done.view(-1, j, i)
        done = (done.view(-1, i) @ along_i.T).view(len(along_k), len(along_j), len(along_i))
        result: np.ndarray = (done > 0 if signs else done).cpu().numpy()
    return result
