"""What the clicks in one crop have drawn so far, so that one more click costs one click's drawing.

The maps of :class:`~.prompt_encoder.NativePromptEncoder` are sums and minima over clicks: the newest click is added to
what the others drew, however many they are. Clicks are always added one by one, the oldest first, whether they were
drawn before or not: the same clicks give the same bits, and a replay the same mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_KEPT = 2  # all clicks; and all but the newest, which may be dragged
# What is smaller counts as nothing: denormal numbers take a CPU many times as long.
LEAST_FACTOR = -25.0  # the exponent of a Gaussian along one axis

ClickKey = tuple[bool, float, float, float]


class Drawing(NamedTuple):
    """Of all clicks of one sign.

    Attributes:
        near: for each width, the sum of Gaussians, (m, m, m).
        distance: to the clicked intensity that is nearest, (m, m, m); infinite where there is no click.
    """

    near: tuple[Tensor, ...]
    distance: Tensor


class ClickCanvas:
    """Drawings of the clicks in a crop, on a CPU; the last two are kept.

    Attributes:
        drawn_clicks: how many were drawn so far, which is what takes time.
    """

    def __init__(self) -> None:
        self._image: Tensor | None = None
        self._kept: list[tuple[tuple[ClickKey, ...], tuple[Drawing, Drawing]]] = []
        self.drawn_clicks = 0

    def clear(self) -> None:
        """Lets go of the crop and of what was drawn."""
        self._image, self._kept = None, []

    def drawings(self, image: Tensor, centres: Tensor, positive: Sequence[bool], intensities: Tensor,
                 sigmas: Sequence[float]) -> tuple[Drawing, Drawing]:  # fmt: skip
        """What the positive clicks drew, and what the negative ones did; not to be written to.

        Args:
            image: (1, 1, m, m, m), the crop on the logits' grid; another tensor begins the canvas anew.
            centres: (N, 3), cells. positive: N of them. intensities: (N,), clicked. sigmas: widths, cells.
        """
        if image is not self._image:
            self.clear()
            self._image = image
        keys = tuple((bool(sign), r, a, s) for sign, (r, a, s) in zip(positive, centres.tolist(), strict=True))
        cells = image[0, 0].float()
        done, both = self._begun(keys, cells, len(sigmas))
        steps = torch.arange(len(cells), dtype=torch.float32)
        before = done, both
        for number in range(len(done), len(keys)):
            before = keys[:number], both
            both = _with_click(both, cells, keys[number], steps, float(intensities[number]), sigmas)
            self.drawn_clicks += 1
        if len(done) < len(keys):
            self._kept = [before, (keys, both)]
        return both

    def _begun(self, keys: tuple[ClickKey, ...], cells: Tensor,
               widths: int) -> tuple[tuple[ClickKey, ...], tuple[Drawing, Drawing]]:  # fmt: skip
        """The most that was drawn of these clicks."""
        known = [kept for kept in self._kept if kept[0] == keys[: len(kept[0])]]
        if known:
            return max(known, key=lambda kept: len(kept[0]))
        nothing = Drawing((torch.zeros_like(cells),) * widths, torch.full_like(cells, float("inf")))
        return (), (nothing, nothing)


def _with_click(both: tuple[Drawing, Drawing], cells: Tensor, key: ClickKey, steps: Tensor, intensity: float,
                sigmas: Sequence[float]) -> tuple[Drawing, Drawing]:  # fmt: skip
    positive, *centre = key
    old = both[0 if positive else 1]
    squares = (steps - torch.tensor(centre)[:, None]) ** 2
    near = []
    for sigma, so_far in zip(sigmas, old.near, strict=True):
        exponents = squares / (-2 * sigma**2)
        r, a, s = torch.where(exponents > LEAST_FACTOR, exponents.exp(), 0.0)
        plane = torch.outer(r, a).flatten()
        near.append(torch.addr(so_far.flatten(0, 1), plane, s).view_as(so_far))
    new = Drawing(tuple(near), torch.minimum(old.distance, (cells - intensity).abs_()))
    return (new, both[1]) if positive else (both[0], new)
