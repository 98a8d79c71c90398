"""How well two masks agree, and how well a whole series of clicks did."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice's coefficient of two bool masks of one shape; 1 when both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else 1.0


def area_under_clicks(scores: Sequence[float]) -> float:
    """Area under a score drawn against clicks 1 to n (trapezoids), divided by n - 1: 1 when all scores are 1.

    Args:
        scores: after each click; of one click alone it is that score.
    """
    if len(scores) < 2:
        return float(scores[0])
    return float(np.trapezoid(scores)) / (len(scores) - 1)
