"""A first click that nobody made: where a remembered structure lies in a scan that was not segmented yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple
from weakref import ReferenceType, ref

import numpy as np

from ..case_memory.retrieval import CaseRetrieval, Point, same_name
from ..errors import EngineError
from ..geometry import CropGrid, Volume
from .crop_policy import first_grid

if TYPE_CHECKING:
    from ..case_memory.descriptor import Calibration
    from .predictor import Predictor

_PLACES_A_CROP = 8  # of the lattice, along the edge of the crop through which a first click is looked at
_ROUNDS, _FINER = 4, 1.6  # of the search between the lattice's places, each on steps so much finer
_FOLLOWED = 2  # places that are followed in each round; one alone, once nothing around it is more alike
_LEAST_SIGHT = 0.1  # of the lattice's cell around a place: it shows more than air
_ON_LATTICE = 0.8  # of the time, about

Progress = Callable[[float], None]


class Proposal(NamedTuple):
    """A place to click.

    Attributes:
        structure: its name in the memory. ras: about the structure's deepest place, RAS mm.
        probability: as in :class:`.retrieval.ShapePrior`.
    """

    structure: str
    ras: Point
    probability: float


class Proposer:
    """Looks for remembered structures in the whole scan.

    Crops on a lattice over all that is not air are described as clicks' crops are; the places most like the deepest
    places of the remembered cases are followed on ever finer steps. What is found counts only if the memory would say
    the same of a click there, all its structures taken together. A crop is encoded once, for all structures that are
    looked for in a scan; only its descriptor is kept.

    Args:
        predictor: with a case memory.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self._described: dict[CropGrid, np.ndarray] = {}
        # Weak: a scan that was closed, or a model that was changed, is not kept for what was described of it.
        self._of: tuple[ReferenceType[Volume], ReferenceType[Calibration]] | None = None

    def propose(self, structure: str, progress: Progress = lambda _: None) -> Proposal | None:
        """Where a structure is.

        Args:
            structure: a name in the memory; upper and lower case are the same.
            progress: called with the part that is done, 0 to 1.

        Returns:
            None: the memory recognises no such place.

        Raises:
            EngineError: there is no case memory, or nothing of that name in it. VolumeError: there is no scan.
            CaseMemoryError: the memory's folder is gone.
        """
        retrieval = self.predictor.case_retrieval
        if retrieval is None:
            raise EngineError("No case memory is in use.", "Choose one, and turn its use on.")
        volume, modality = self.predictor.volume, self.predictor.modality
        known = retrieval.deepest_places(structure, modality)
        if not len(known):
            raise EngineError(
                f"No remembered case is called '{structure}', or none is of this kind of scan.",
                "Remember a finished segment of that name first.",
            )
        if self._of is None or self._of[0]() is not volume or self._of[1]() is not retrieval.calibration:
            self._of, self._described = (ref(volume), ref(retrieval.calibration)), {}
        edge = self._grid((0.0, 0.0, 0.0)).extent_mm
        places = lattice(volume, edge / _PLACES_A_CROP)
        best: list[tuple[float, np.ndarray]] = []
        for number, place in enumerate(places):
            best.append((self._likeness(place, known, retrieval), place))
            progress(_ON_LATTICE * (number + 1) / len(places))
        for number in range(_ROUNDS):
            step = edge / _PLACES_A_CROP / 2 / _FINER**number
            best = _best(best)
            best += [one for likeness, place in best for one in self._around(likeness, place, step, known, retrieval)]
            progress(_ON_LATTICE + (1 - _ON_LATTICE) * (number + 1) / _ROUNDS)
        r, a, s = _best(best)[0][1].tolist()
        found = retrieval.retrieve_shape_prior(
            self.predictor.multi_scale_features(self._grid((r, a, s))), (r, a, s), modality
        )
        if found is None or same_name(found.structure) != same_name(structure):
            return None
        return Proposal(found.structure, (r, a, s), found.probability)

    def _around(self, likeness: float, place: np.ndarray, step: float, known: np.ndarray,
                retrieval: CaseRetrieval) -> list[tuple[float, np.ndarray]]:  # fmt: skip
        """Likeness and place of those so many mm to each side, and of where the sides that are more alike lead."""
        found, together = [], place.copy()
        for offset in step * np.vstack([np.eye(3), -np.eye(3)]):
            if self.predictor.volume.contains(place + offset):
                found.append((self._likeness(place + offset, known, retrieval), place + offset))
                if found[-1][0] > likeness:
                    together += offset
        if self.predictor.volume.contains(together):
            found.append((self._likeness(together, known, retrieval), together))
        return found

    def _likeness(self, place: np.ndarray, known: np.ndarray, retrieval: CaseRetrieval) -> float:
        """Mean cosine of the cases that are most like the crop around a place, as many as a click listens to."""
        r, a, s = np.round(place, 2).tolist()
        grid = self._grid((r, a, s))
        if grid not in self._described:
            # Not through the crops that are kept for clicks: there are too many, and none is looked at twice.
            self._described[grid] = retrieval.calibration.describe(
                self.predictor.multi_scale_features(grid, keep=False)
            )
        cosines = np.sort(known @ self._described[grid])[::-1]
        return float(cosines[: retrieval.neighbours].mean())

    def _grid(self, ras: Point) -> CropGrid:
        return first_grid(self.predictor.volume, ras, self.predictor.spacing_range, self.predictor.crop_size)


def lattice(volume: Volume, apart_mm: float) -> list[np.ndarray]:
    """Places, RAS mm, evenly over the scan and about so far apart, where there is something to see."""
    size, spacing = np.array(volume.shape[::-1]), np.array(volume.spacing)
    counts = np.maximum(1, np.round(size * spacing / apart_mm)).astype(int)
    axes = [(np.arange(count) + 0.5) / count * edge - 0.5 for count, edge in zip(counts, size, strict=True)]
    places = np.array(np.meshgrid(*axes, indexing="ij")).reshape(3, -1).T
    # Air is dark in all that is scanned, and there is a lot of it: half-way from it to the mean lies above its noise.
    some = volume.intensities.reshape(-1)[:: max(1, volume.array.size // 100_000)]
    air = float(np.percentile(some, 1))
    least = (air + float(some.mean())) / 2
    reach = np.maximum(1, np.round(apart_mm / 2 / spacing)).astype(int)
    seen = np.array([_part_above(volume.intensities, place, reach, least) for place in places])
    return list(volume.ijk_to_ras_points(places[seen >= min(_LEAST_SIGHT, float(seen.max()) / 2)]))


def _part_above(array: np.ndarray, place: np.ndarray, reach: np.ndarray, least: float) -> float:
    """Of the voxels around a place (i, j, k), so many to each side: the part that is brighter than that."""
    low, high = np.round(place).astype(int) - reach, np.round(place).astype(int) + reach + 1
    i, j, k = (slice(max(a, 0), b) for a, b in zip(low.tolist(), high.tolist(), strict=True))
    return float((array[k, j, i] > least).mean())


def _best(found: list[tuple[float, np.ndarray]]) -> list[tuple[float, np.ndarray]]:
    return sorted(found, key=lambda one: -one[0])[:_FOLLOWED]
