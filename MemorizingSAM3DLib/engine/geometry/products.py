"""Matrix products of arrays, on PyTorch's threads.

NumPy's BLAS has threads of its own, which wait busily for some 25 ms after each product. The network that is asked next
then shares the cores with them: on two cores it takes half as long again.
"""

from __future__ import annotations

import numpy as np


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b``, of matrices or of stacks of them.

    Args:
        a, b: of one floating type; any strides that are not negative.
    """
    import torch  # here: it takes seconds to load, and Slicer's panel loads this package

    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        result: np.ndarray = torch.matmul(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    return result
