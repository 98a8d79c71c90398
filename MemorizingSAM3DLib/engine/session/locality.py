"""Which changes a click may make: what was right and is far from it stays.

The rule, on the logits' grid. Let D be the cells whose sign the network wants to change.

1. Within ``NEAR_CELLS`` of the click (a third of the crop's edge: 67 mm at 1.5 mm) all of D is accepted.
2. Farther away, only changes of the click's own kind (a positive click adds, a negative one removes), that are thick
   (they survive an erosion by one cell: not a flicker of the boundary), and that hang together with a change near the
   click. The cells beside such a change whose sign does not change come with it, so that its boundary on the scan's
   grid is the network's own, without crumbs.
3. Cells within one cell, along every axis, of a click or of the centre of the scan voxel it lies in (or between the
   two) take the sign of that click, the newest click having the last word. These are the cells that decide the value
   at that voxel by linear interpolation, so a click is never ignored.

4. What is added hangs together (over corners, too) with what was there, or with a cell beside a positive click: the
   other lesions of a scan look like the clicked one, and nobody clicked them.

The first click on an empty mask is bound by rules 3 and 4 alone. The mask outside the crop never changes by rules 1, 2
and 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..geometry import Box

NEAR_CELLS = 0.35  # of the grid's edge
_HELD_LOGIT = 0.5
_CROSS = ndimage.generate_binary_structure(3, 1)
_CUBE = ndimage.generate_binary_structure(3, 3)


def accepted_region(old: np.ndarray, new: np.ndarray, click: np.ndarray, positive: bool,
                    reach: float = 0.0) -> np.ndarray:  # fmt: skip
    """Where the new logits count (rules 1 and 2).

    Args:
        old, new: (m, m, m) logits. click: continuous cell index (r, a, s). positive: the click's kind.
        reach: cells around ``click`` that the prompt itself takes, when it is no point.

    Returns:
        (m, m, m) bool.
    """
    near = within(old.shape, click, NEAR_CELLS * old.shape[0] + reach)
    change = (new > 0) & (old <= 0) if positive else (new <= 0) & (old > 0)
    if not (change & ~near).any():
        return near
    place = Box.of_mask(change).dilated(1).clipped(old.shape).slices  # all that follows happens there
    thick = ndimage.binary_opening(change[place], _CROSS)
    parts, _ = ndimage.label(thick, _CROSS)
    connected = np.unique(parts[near[place] & thick])
    far = np.isin(parts, connected[connected > 0])
    # The rim of an accepted part was opened away: give it back, so that no thin shell of old sign stays behind.
    far = ndimage.binary_dilation(far, _CROSS, iterations=2) & change[place]
    beside = ndimage.binary_dilation(far, _CUBE) & ((old[place] > 0) == (new[place] > 0))
    near[place] |= far | beside
    return near


def stray_parts(logits: np.ndarray, old: np.ndarray | None, clicked: np.ndarray) -> np.ndarray:
    """Parts that rule 4 leaves out; none where it would leave nothing.

    Args:
        logits: (m, m, m). old: the same before the click, or None where nothing was.
        clicked: (N, 3), continuous cell indices of the positive clicks; those outside the grid are passed over.

    Returns:
        (m, m, m) bool.
    """
    stray = np.zeros(logits.shape, dtype=bool)
    place = Box.of_mask(logits > 0)
    if place.is_empty:
        return stray
    numbers, count = ndimage.label(logits[place.slices] > 0, _CUBE)
    known = np.zeros(count + 1, dtype=bool)
    if old is not None:
        known[numbers[old[place.slices] > 0]] = True
    for cell in np.floor(clicked - place.low + 0.5).astype(int):
        beside = Box.between(cell - 1, cell + 2).clipped(numbers.shape)
        if not beside.is_empty:
            known[numbers[beside.slices]] = True
    known[0] = True
    if known[1:].any():
        stray[place.slices] = ~known[numbers]
    return stray


def within(shape: tuple[int, ...], centre: np.ndarray, radius: float) -> np.ndarray:
    """The cells whose centres lie within a radius (in cells) of a continuous index."""
    r, a, s = (np.arange(n, dtype=np.float32) - float(c) for n, c in zip(shape, centre, strict=True))
    return r[:, None, None] ** 2 + a[:, None] ** 2 + s**2 <= radius**2


def hold_clicks(logits: np.ndarray, clicks: Sequence[tuple[np.ndarray, bool]]) -> None:
    """Rule 3, in place.

    Args:
        clicks: (continuous cell indices (2, 3) of the click and of its scan voxel's centre, positive), oldest first;
            clicks outside the grid are passed over.
    """
    if not clicks:
        return
    size = np.array(logits.shape)
    places, positive = np.array([place for place, _ in clicks]), np.array([kind for _, kind in clicks])
    inside = ((places[:, 0] >= -0.5) & (places[:, 0] <= size - 0.5)).all(axis=1)
    places, positive = places[inside], positive[inside]
    if not len(places):
        return
    low = np.maximum(np.ceil(places.min(axis=1) - 1), 0).astype(int)
    high = np.minimum(np.floor(places.max(axis=1) + 1), size - 1).astype(int) + 1
    steps = np.indices((high - low).max(axis=0)).reshape(3, -1).T
    cells = low[:, None] + steps
    reached = (cells < high[:, None]).all(axis=2)
    numbers = np.nonzero(reached)[0]
    places_in_grid = tuple(cells[reached].T)
    # All clicks at once, so that the thousandth costs what the first does: each cell learns its newest click.
    flat = np.ravel_multi_index(places_in_grid, logits.shape)
    newest = np.zeros(logits.size, dtype=np.intp)
    np.maximum.at(newest, flat, numbers)
    held = np.maximum(np.abs(logits[places_in_grid]), _HELD_LOGIT)
    logits[places_in_grid] = np.where(positive[newest[flat]], held, -held)
