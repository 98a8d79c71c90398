"""One click: from the state before it to the state after it. No hidden memory, so a replay gives the same mask.

Where clicks lie on a scan's grid, worked out once a click: a session asks about all of them at every click.

What a case memory said of clicks, kept for as long as their scan is: memories change, finished segments do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from scipy import ndimage

from ..case_memory.retrieval import ShapePrior
from ..case_memory.shape_prior import StructureShape
from ..errors import PromptError
from ..geometry import Box, CropGrid, Volume, mask_to_crop, threshold_on_scan
from ..geometry.packed_mask import PackedMask
from ..interaction_memory.bank import Interaction
from ..prompts import Click, Prompt, Prompts, Scribble
from .crop_policy import (
    FINER_CROP_RATIO,
    FINER_CROPS,
    LATER_FROM,
    MARGIN_VOXELS,
    better_grid,
    cut_faces,
    finer_ratio,
    finer_spacing,
    first_grid,
    grid_around,
    spacing_for,
    thickness,
)
from .locality import accepted_region, hold_clicks, stray_parts
from .predictor import Predictor

_MOST_KEPT = 20_000  # dragging a point makes a click at every stop


class ClickedVoxels:
    """The voxels of clicks on one scan.

    Args:
        volume: the scan.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._rows: dict[Click, int] = {}
        self._voxels, self._places = np.empty((64, 3), dtype=int), np.empty((64, 2, 3))

    def of(self, clicks: Sequence[Click]) -> tuple[np.ndarray, np.ndarray]:
        """Where clicks lie.

        Returns:
            The voxels (N, 3) as (k, j, i), and (N, 2, 3) RAS mm: each click, and the centre of its voxel.

        Raises:
            ClickError: a click lies outside the scan.
        """
        if len(self._rows) > _MOST_KEPT:
            self._rows.clear()
        rows = []
        for click in clicks:
            row = self._rows.get(click)
            rows.append(self._add(click) if row is None else row)
        return self._voxels[rows], self._places[rows]

    def _add(self, click: Click) -> int:
        i, j, k = self.volume.nearest_voxel(click.ras)
        row = len(self._rows)
        if row == len(self._voxels):
            self._voxels, self._places = (np.concatenate([part, part]) for part in (self._voxels, self._places))
        self._voxels[row] = k, j, i
        self._places[row] = click.ras, self.volume.ijk_to_ras_points((i, j, k))
        self._rows[click] = row
        return row


RetrieveShapePrior = Callable[[CropGrid, Click], ShapePrior | None]


class KeptShapePriors:
    """Asks a memory about the newest click of any prompts once, and gives the same answer ever after.

    A shape that several answers have in common is kept once: an answer takes some hundred bytes.
    """

    def __init__(self) -> None:
        self._answers: dict[Prompts, ShapePrior | None] = {}
        self._shapes: dict[str, StructureShape] = {}

    def of(self, prompts: Prompts, ask: RetrieveShapePrior, grid: CropGrid, click: Click) -> ShapePrior | None:
        """What the memory said of the newest click.

        Args:
            prompts: up to that click. A memory that this click was made without is not asked.
            ask: asks the memory as it is now.
        """
        if prompts.memory_settings[-1].cases is None:
            return None
        if prompts not in self._answers:
            answer = ask(grid, click)
            self._answers[prompts] = None if answer is None else self._without_the_memory(answer)
        return self._answers[prompts]

    def _without_the_memory(self, answer: ShapePrior) -> ShapePrior:
        """The answer with shapes of its own: a memory's are parts of arrays that hold all of its cases."""
        shapes = []
        for case, (shape, centre, weight) in zip(answer.ids, answer.shapes, strict=True):
            if case not in self._shapes:
                self._shapes[case] = StructureShape(shape.occupancy.copy(), shape.cell, shape.anchors.copy())
            shapes.append((self._shapes[case], centre, weight))
        return answer._replace(shapes=tuple(shapes))


MOST_FURTHER_CROPS = 6
_MOST_CROPS = 3
_KNOWN_LOGIT = 6.0  # of a mask whose logits are not known: what the network saw in training
_COARSER_RATIO = 1.25
_THICKNESS_VOXELS = 48  # along an edge of the mask's box: more say nothing more of how thick it is
_FAR_RATIO = 3.0  # times as coarse to see mask and click together: then the click is looked at where it is


@dataclass(frozen=True, eq=False)
class MaskState:
    """A mask and what the next click builds on.

    Attributes:
        mask: on the scan's grid. clicks: so far, in order. grid: the crop last looked through.
        logits: (m, m, m) on that crop, equal in sign to the mask there; None when another crop changed the mask.
        seen: all crops that decided a part of the mask, oldest first.
        interactions: what is remembered of the last clicks, oldest first; nothing without an interaction memory.
        shape_prior: what remembered cases said of the structure; None when they had no part in the mask.
    """

    mask: PackedMask = PackedMask()
    clicks: tuple[Prompt, ...] = ()
    grid: CropGrid | None = None
    logits: np.ndarray | None = None
    seen: tuple[CropGrid, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    shape_prior: ShapePrior | None = None


class ClickRefiner:
    """Applies clicks to states with a predictor that knows the scan."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._voxels: ClickedVoxels | None = None

    @property
    def volume(self) -> Volume:
        """The scan at hand."""
        return self.predictor.volume

    def refine(
        self, state: MaskState, click: Prompt, retrieve_shape_prior: RetrieveShapePrior | None = None
    ) -> MaskState:
        """The state after one more prompt.

        Args:
            retrieve_shape_prior: what is asked about a first point; None: the predictor's case memory.

        Raises:
            ClickError: a point lies outside the scan. PromptError: another prompt does, or the model does not know it.
        """
        self._check(click)
        clicks = (*state.clicks, click)
        if state.mask.is_empty and not click.positive:
            return replace(state, clicks=clicks)  # nothing to remove: the click counts from the next one on
        if state.mask.is_empty:
            grid, new, shape_prior = self._first_crop(
                clicks, retrieve_shape_prior or self.predictor.retrieve_shape_prior
            )
            old, region = None, np.ones_like(new, dtype=bool)
        else:
            grid, shape_prior = self._grid_for(state, click), state.shape_prior
            old = state.logits if grid == state.grid and state.logits is not None else self._logits_of(state.mask, grid)
            new = self.predictor.logits(grid, clicks, old, state.interactions)
            ends = grid.coarser(len(new)).ras_to_index(np.array([click.ras, *click.corners]))
            reach = float(np.linalg.norm(ends[1:] - ends[0], axis=1).max())
            region = accepted_region(old, new, ends[0], click.positive, reach)
        cells = grid.coarser(len(new))
        held = self._held_points(clicks)
        positive = np.array([c.positive for c in held], dtype=bool)
        voxels, places = self._clicked_voxels.of(held)
        indices = cells.ras_to_index(places)
        merged = new if old is None else np.where(region, new, old)
        stray = stray_parts(merged, old, indices[positive, 0])
        merged = np.where(stray, -np.abs(new) if old is None else old, merged)
        region &= ~stray
        before = merged > 0
        hold_clicks(merged, list(zip(indices, positive, strict=True)))
        region |= before != (merged > 0)
        mask = self._written(state.mask, grid, merged, region)
        # What was decided about an object that is gone says nothing about the next one.
        seen = () if old is None else tuple(other for other in state.seen if other != grid)
        interactions = () if old is None else state.interactions
        if isinstance(click, Click):
            interactions = self.predictor.append_interaction(grid, click, merged, interactions)
        after = MaskState(mask, clicks, grid, merged, (*seen, grid), interactions, shape_prior)
        if click.positive:
            after = self._continued(after)
        return replace(after, mask=self._with_labels(after.mask, voxels, positive))

    def _check(self, prompt: Prompt) -> None:
        volume = self.volume
        if isinstance(prompt, Click):
            volume.nearest_voxel(prompt.ras)
            return
        if not isinstance(prompt, Scribble) and not self.predictor.knows_regions:
            raise PromptError("This model knows points and scribbles alone.", "Choose the model that comes with it.")
        if isinstance(prompt, Scribble):
            outside = not any(volume.contains(point) for point in prompt.line)
        else:
            ijk = volume.ras_to_ijk(np.array(prompt.corners))
            outside = bool(((ijk.max(0) < -0.5) | (ijk.min(0) > np.subtract(volume.shape[::-1], 0.5))).any())
        if outside:
            raise PromptError("What was drawn lies outside the scan.", "Draw it on the scan.")

    def _held_points(self, prompts: Sequence[Prompt]) -> list[Click]:
        """The places at which prompts decide the mask's side, those of scribbles as far as they are in the scan."""
        return [
            Click(point, prompt.positive)
            for prompt in prompts
            for point in prompt.points
            if isinstance(prompt, Click) or self.volume.contains(point)
        ]

    def _first_crop(
        self, clicks: tuple[Prompt, ...], retrieve_shape_prior: RetrieveShapePrior
    ) -> tuple[CropGrid, np.ndarray, ShapePrior | None]:
        click = clicks[-1]
        predictor = self.predictor
        if not isinstance(click, Click):  # what was drawn says how large the structure is
            grid = grid_around(np.array(click.corners), predictor.spacing_range, predictor.crop_size, LATER_FROM)
            return grid, predictor.logits(grid, clicks, predictor.logits(grid, clicks, None)), None
        grid = first_grid(self.volume, click.ras, predictor.spacing_range, predictor.crop_size)
        shape_prior = retrieve_shape_prior(grid, click)
        if shape_prior is not None:
            return (*self._look_with(shape_prior, clicks), shape_prior)
        logits = predictor.logits(grid, clicks, None)
        for _ in range(_MOST_CROPS - 1):
            better = better_grid(logits, grid, click.ras, predictor.spacing_range)
            if better is None:
                break
            grid, logits = better, predictor.logits(better, clicks, None)
        if not predictor.network.config.published:
            # Trained on its own earlier masks, it corrects them: 0.005 of Dice (docs/evaluation.md).
            logits = predictor.logits(grid, clicks, logits)
        return grid, logits, None

    def _look_with(self, shape_prior: ShapePrior, clicks: tuple[Prompt, ...]) -> tuple[CropGrid, np.ndarray]:
        """A look that starts from what remembered cases say, in the crop that suits what they say."""
        predictor = self.predictor
        known = np.vstack([shape_prior.extent(), clicks[-1].ras])
        # How large the structure is need not be found out first: as close as after some clicks.
        grid = grid_around(known, predictor.spacing_range, predictor.crop_size, LATER_FROM)
        return grid, predictor.logits(grid, clicks, shape_prior.logits(grid.coarser(predictor.output_size)))

    def _grid_for(self, state: MaskState, click: Prompt) -> CropGrid:
        grid, clicked = self._grid_of_object(state, click), len(state.clicks)
        if clicked < FINER_CROPS[0][0]:
            return grid
        thick = self._thickness(state.mask)
        spacing = finer_spacing(thick, self.predictor.spacing_range, grid.size, clicked)
        if spacing * FINER_CROP_RATIO > grid.spacing:
            return grid
        for other in reversed(state.seen):
            if other.spacing <= spacing * FINER_CROP_RATIO and self._suits(other, click):
                return other
        return CropGrid(click.ras, spacing, grid.size)

    def _thickness(self, mask: PackedMask) -> float:
        steps = [max(1, length // _THICKNESS_VOXELS) for length in mask.box.shape]
        array = mask.within(mask.box)[tuple(slice(step // 2, None, step) for step in steps)]
        k, j, i = (step * mm for step, mm in zip(steps, self.volume.spacing[::-1], strict=True))
        return thickness(array, (k, j, i)) if array.any() else 0.0

    def _grid_of_object(self, state: MaskState, click: Prompt) -> CropGrid:
        predictor, clicked = self.predictor, len(state.clicks)
        corners = self._corners(state.mask.box)
        if state.grid is not None and self._suits(state.grid, click):
            known = np.vstack([corners, click.corners]) if click.positive else corners
            _, second, longest = np.sort(known.max(0) - known.min(0)).tolist()
            # Long objects are followed by further crops; one that is large in two directions is seen from farther.
            for_width, for_length = (
                spacing_for(extent, predictor.spacing_range, predictor.crop_size, clicked)
                for extent in (second, longest)
            )
            outgrown = click.positive and for_width > _COARSER_RATIO * state.grid.spacing
            if not outgrown and for_length * finer_ratio(predictor.crop_size, clicked) > state.grid.spacing:
                return state.grid
        else:
            for grid in reversed(state.seen):
                if self._suits(grid, click):
                    return grid
        grid = grid_around(np.vstack([corners, click.corners]), predictor.spacing_range, predictor.crop_size, clicked)
        own = grid_around(corners, predictor.spacing_range, predictor.crop_size, clicked)
        if grid.spacing <= _FAR_RATIO * own.spacing and self._suits(grid, click):
            return grid
        spacing = state.grid.spacing if state.grid is not None else grid.spacing
        return CropGrid(click.ras, spacing, predictor.crop_size)

    def expected_grid(self, state: MaskState) -> CropGrid:
        """The crop through which a click in the middle of the mask, which is not empty, would be looked at next."""
        r, a, s = self._corners(state.mask.box).mean(axis=0).tolist()
        return self._grid_of_object(state, Click((r, a, s)))

    def _suits(self, grid: CropGrid, click: Prompt) -> bool:
        if not isinstance(click, Click):
            return bool(grid.contains_each(click.corners).all())
        # Near a face that is also the scan's there is nothing more to see: any crop would do as well.
        if grid.contains(click.ras, MARGIN_VOXELS):
            return True
        if not grid.contains(click.ras):
            return False
        offset = np.subtract(click.ras, grid.center_ras)
        margin = MARGIN_VOXELS * grid.spacing
        steps = np.diag(np.sign(offset) * (np.abs(offset) > grid.extent_mm / 2 - margin) * 2 * margin)
        return not any(self.volume.contains(click.ras + step) for step in steps if step.any())

    def _continued(self, state: MaskState) -> MaskState:
        """The mask followed beyond the faces at which crops cut it; only voxels that no crop has decided are added.

        Past interactions are not used there: they were made in other crops, and the mask itself says what to continue.
        """
        assert state.grid is not None and state.logits is not None
        mask, seen = state.mask, state.seen
        waiting = cut_faces(state.logits > 0, state.grid, self.volume)
        for _ in range(MOST_FURTHER_CROPS):
            waiting = [grid for grid in waiting if not any(_same_place(grid, other) for other in seen)]
            if not waiting:
                break
            grid = waiting.pop(0)
            decided = _decided(grid, seen, self.predictor.output_size)
            if decided.all():
                continue
            old = self._logits_of(mask, grid)
            if not (ndimage.binary_dilation((old > 0) & decided) & ~decided).any():
                continue  # a finer crop cut what was seen as a whole, or what reached the border is too thin from here
            clicks = list(compress(state.clicks, grid.contains_each([click.ras for click in state.clicks])))
            attended = clicks if self.predictor.network.uses_click_history else clicks[-1:]
            if not any(click.positive for click in attended):
                clicks.append(self._deepest(old, grid))
            new = np.where(decided, old, self.predictor.logits(grid, clicks, old))
            connected = _connected(new > 0, (old > 0) & decided)
            new = np.where((new > 0) & ~connected & ~decided, -np.abs(new) - 1e-3, new)
            mask = self._written(mask, grid, new, ~decided, only_add=True)
            seen = (*seen, grid)
            waiting += cut_faces((new > 0) & ~decided, grid, self.volume)
        return replace(state, mask=mask, seen=seen)

    def _deepest(self, logits: np.ndarray, grid: CropGrid) -> Click:
        """A click of our own making, in the middle of the part of the mask that is to be continued."""
        depth = ndimage.distance_transform_edt(np.pad(logits > 0, 1))[1:-1, 1:-1, 1:-1]
        cell = np.array(np.unravel_index(int(depth.argmax()), depth.shape))
        r, a, s = grid.coarser(len(logits)).index_to_ras(cell).tolist()
        return Click((r, a, s))

    def _logits_of(self, mask: PackedMask, grid: CropGrid) -> np.ndarray:
        whole = Box.whole(self.volume.shape)
        filled = mask_to_crop(mask.within(whole), self.volume, grid, self.predictor.output_size)
        return (filled - 0.5).astype(np.float32) * (2 * _KNOWN_LOGIT)

    @property
    def _clicked_voxels(self) -> ClickedVoxels:
        if self._voxels is None or self._voxels.volume is not self.volume:
            self._voxels = ClickedVoxels(self.volume)
        return self._voxels

    def _with_labels(self, mask: PackedMask, voxels: np.ndarray, labels: np.ndarray) -> PackedMask:
        """The mask in which the voxel under each click has its label, however coarse the logits; the newest wins.

        Args:
            voxels: (N, 3), (k, j, i), in the order of the clicks. labels: (N,) bool.
        """
        flat = np.ravel_multi_index(tuple(voxels.T), self.volume.shape)
        newest = len(flat) - 1 - np.unique(flat[::-1], return_index=True)[1]
        voxels, labels = voxels[newest], labels[newest]
        wrong = mask.at_each(voxels) != labels
        if not wrong.any():
            return mask
        voxels, labels = voxels[wrong], labels[wrong]
        box = mask.box.union(Box.between(voxels.min(axis=0), voxels.max(axis=0) + 1))
        result = mask.within(box)
        result[tuple((voxels - box.low).T)] = labels
        return PackedMask.of(result, box)

    def _written(self, mask: PackedMask, grid: CropGrid, logits: np.ndarray, region: np.ndarray,
                 only_add: bool = False) -> PackedMask:  # fmt: skip
        """The mask with the logits' sign in the region (``only_add``: where it is positive), untouched elsewhere."""
        touched = self._box_of(region, grid)
        box = self._box_of(region & (logits > 0), grid).union(mask.box.intersection(touched))
        if box.is_empty:
            return mask
        device = self.predictor.runtime.device
        done, wanted = threshold_on_scan(logits, grid, self.volume, box, refined=True, device=device)
        if done.is_empty:
            return mask
        _, inside = threshold_on_scan(np.where(region, 1.0, -1.0), grid, self.volume, done, device=device)
        both = mask.box.union(done)
        result = mask.within(both)
        part = Box.between(np.subtract(done.low, both.low), np.subtract(done.high, both.low)).slices
        if only_add:
            wanted |= result[part]
        np.copyto(result[part], wanted, where=inside)
        return PackedMask.of(result, both)

    def _box_of(self, cells: np.ndarray, grid: CropGrid) -> Box:
        """The scan voxels that cells of a crop reach, their neighbours included."""
        inner = Box.of_mask(cells)
        if inner.is_empty:
            return Box(0, 0, 0, 0, 0, 0)
        low, high = np.array(inner.low) - 1.5, np.array(inner.high) + 0.5
        corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
        ijk = self.volume.ras_to_ijk(grid.coarser(len(cells)).index_to_ras(corners))
        first, last = np.floor(ijk.min(0))[::-1], np.ceil(ijk.max(0))[::-1] + 1
        return Box.between(first, last).clipped(self.volume.shape)

    def _corners(self, box: Box) -> np.ndarray:
        low, high = np.array(box.low)[::-1] - 0.5, np.array(box.high)[::-1] - 0.5
        ijk = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
        return self.volume.ijk_to_ras_points(ijk)


def _same_place(a: CropGrid, b: CropGrid) -> bool:
    """Whether one crop adds too little to another: centres within a quarter of an edge."""
    apart = np.abs(np.subtract(a.center_ras, b.center_ras)).max()
    return bool(apart < 0.25 * b.extent_mm) and a.spacing <= 1.01 * b.spacing


def _decided(grid: CropGrid, seen: tuple[CropGrid, ...], size: int) -> np.ndarray:
    """The cells of a crop that lie half a cell or more within crops already looked through: no slit is left between."""
    half = grid.extent_mm / size / 2
    axes = [grid.coarser(size).index_to_ras(np.repeat(np.arange(size)[:, None], 3, 1))[:, axis] for axis in range(3)]
    result = np.zeros((size,) * 3, dtype=bool)
    for other in seen:
        r, a, s = (np.abs(x - c) <= other.extent_mm / 2 - half for x, c in zip(axes, other.center_ras, strict=True))
        result |= r[:, None, None] & a[:, None] & s
    return result


def _connected(mask: np.ndarray, start: np.ndarray) -> np.ndarray:
    parts, _ = ndimage.label(mask)
    numbers = np.unique(parts[start & mask])
    return np.isin(parts, numbers[numbers > 0])
