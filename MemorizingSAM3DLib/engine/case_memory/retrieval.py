"""The label-aware side of the case memory: where the clicked structure was in remembered cases like this one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from ..errors import UnreadableCaseError
from ..geometry import CropGrid
from ..networks.image_encoder import ImageFeatures
from .case import CaseFacts
from .descriptor import Calibration
from .memory import CaseMemory, RememberedCase
from .nearest import NearestCases
from .shape_prior import ANCHORS, StructureShape

DEFAULT_NEIGHBOURS = 5
# Probability from which the memory is used at all: on training cases a memory without the clicked structure then cost
# nothing on average, and one with it gave nearly all that it gave at any limit.
TRUSTED = 0.45
# Cases whose shapes agree less (organs lie alike in all patients, tumours do not) have to be more alike to be used. On
# 61 places of training cases those below both limits lost 0.04 of Dice on average, tumours of PET up to 0.27; the
# others gained 0.11.
AGREED, TRUSTED_APART = 0.5, 0.75
_SHARPNESS = 0.05  # difference of cosines at which a neighbour counts e times less
_KNOWN = 1e-3  # occupancies are kept this far from 0 and 1: a prior never forbids

Point = tuple[float, float, float]


class Match(NamedTuple):
    """A remembered place like the clicked one: its case (row), its anchor, their cosine; weights add to 1."""

    case: int
    anchor: int
    cosine: float
    weight: float


class ShapePrior(NamedTuple):
    """What the memory says about a click.

    Attributes:
        structure: the name that the remembered cases had, or empty.
        probability: that the clicked structure is a remembered one, times the weight of those cases that say it is
            this one.
        shapes: of the matches, with the place of each shape's centre, RAS mm, and its weight.
        ids: of the cases that took part.
    """

    structure: str
    probability: float
    shapes: tuple[tuple[StructureShape, np.ndarray, float], ...]
    ids: tuple[str, ...]

    def occupancy(self, grid: CropGrid) -> np.ndarray:
        """Where the structure should be: 0..1, float32, on the cells of a grid, axes (R, A, S)."""
        return np.sum([weight * shape.drawn(grid, centre) for shape, centre, weight in self.shapes], axis=0)

    def logits(self, grid: CropGrid) -> np.ndarray:
        """:meth:`occupancy` as logits, for the network to start from."""
        p = self.occupancy(grid).clip(_KNOWN, 1 - _KNOWN)
        return np.log(p / (1 - p)).astype(np.float32)

    def extent(self) -> np.ndarray:
        """(2, 3) RAS mm: the corners of the box in which the structure is as likely as not."""
        grid, p = self._drawn
        cells = np.argwhere(p >= min(0.5, 0.9 * float(p.max())))
        return grid.index_to_ras(np.stack([cells.min(axis=0) - 0.5, cells.max(axis=0) + 0.5]))

    @property
    def agreement(self) -> float:
        """How far the shapes agree, 0 to 1: the mean occupancy at a place that one of them, drawn by weight, fills."""
        p = self._drawn[1]
        return float((p**2).sum() / max(float(p.sum()), 1e-12))

    @property
    def _drawn(self) -> tuple[CropGrid, np.ndarray]:
        """All shapes on a grid that holds them, and their occupancy there."""
        centre = np.sum([weight * place for _, place, weight in self.shapes], axis=0)
        widest = max(shape.extent_mm + 2 * float(np.abs(place - centre).max()) for shape, place, _ in self.shapes)
        r, a, s = centre.tolist()
        grid = CropGrid((r, a, s), widest / 48, 48)
        return grid, self.occupancy(grid)


class CaseRetrieval:
    """Asks a case memory about clicks.

    Args:
        memory: with a structure's mask and anchors in every case (:mod:`.remember_case`).
        calibration: of the encoder that wrote it.
        neighbours: how many cases are listened to.
        structure: only cases of this name are; None: all.

    Attributes:
        excluded: cases of this name are passed over; None: none are.
    """

    def __init__(self, memory: CaseMemory, calibration: Calibration, neighbours: int = DEFAULT_NEIGHBOURS,
                 structure: str | None = None) -> None:  # fmt: skip
        self.memory, self.calibration = memory, calibration
        self.neighbours, self.structure = neighbours, structure
        self.excluded: str | None = None
        self._index: NearestCases | None = None
        self._cases: tuple[RememberedCase, ...] = ()
        self._revision = -1

    @property
    def settings(self) -> Hashable:
        """All that changes what is recollected."""
        return id(self.memory), self.memory.revision, self.neighbours, self.structure, self.excluded

    def retrieve_shape_prior(
        self, features: ImageFeatures, ras: Point, modality: str | None = None
    ) -> ShapePrior | None:
        """What the memory says, or None when it knows nothing like this place, or its cases do not agree on it.

        Args:
            features: of the place that is clicked (:meth:`.predictor.Predictor.multi_scale_features`). ras: it, RAS mm.
            modality: of the scan; cases of other modalities are passed over. None: not known.

        Raises:
            CaseMemoryError: the memory's folder is gone.
        """
        while True:
            matches = self.matches(features, modality)
            if not matches:
                return None
            name, share, matches = self._of_one_structure(matches)
            probability = share * self.calibration.probability(matches[0].cosine)
            if probability < TRUSTED:
                return None
            ids = tuple(self._cases[match.case].id for match in matches)
            try:
                cells, anchors, masks = (self.memory.stacked(n, ids) for n in ("prior.cell", "prior.anchors", "mask"))
            except UnreadableCaseError:
                continue  # damaged, or removed by another program: the memory has left it out, so others answer
            shapes = []
            for number, match in enumerate(matches):
                shape = StructureShape(masks[number], float(cells[number, 0]), anchors[number])
                shapes.append((shape, np.asarray(ras) - anchors[number, match.anchor], match.weight))
            found = ShapePrior(name, probability, tuple(shapes), ids)
            return found if probability >= TRUSTED_APART or found.agreement >= AGREED else None

    def matches(self, features: ImageFeatures, modality: str | None = None) -> list[Match]:
        """The remembered places most like the crop's centre, one a case, best first."""
        index = self._current_index()
        if index is None:
            return []
        query = self.calibration.describe(features)
        if not query.any():
            return []  # nothing to see, so like nothing
        among = np.repeat([self._may_be_used(case.facts, modality) for case in self._cases], ANCHORS)
        found = index.search(query[None], self.neighbours * ANCHORS, among)
        best: dict[int, tuple[int, float]] = {}
        for row, distance in zip(found.indices[0].tolist(), found.distances[0].tolist(), strict=True):
            best.setdefault(row // ANCHORS, (row % ANCHORS, 1 - distance))
        chosen = list(best.items())[: self.neighbours]
        return _weighted([(case, anchor, cosine) for case, (anchor, cosine) in chosen])

    def deepest_places(self, structure: str, modality: str | None = None) -> np.ndarray:
        """(N, D) float32 of unit length: the descriptors around the deepest place of each case of a structure.

        Args:
            structure: a name, compared as names are. modality: of the scan, as in :meth:`retrieve_shape_prior`.

        Raises:
            CaseMemoryError: the memory's folder is gone.
        """
        self._current_index()
        wanted = same_name(structure)
        chosen = [
            case.id for case in self._cases
            if same_name(case.facts.structure) == wanted and self._may_be_used(case.facts, modality)
        ]  # fmt: skip
        if not chosen:
            return np.zeros((0, 0), np.float32)
        vectors = self.memory.stacked("prior.descriptors", tuple(chosen))[:, 0].astype(np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    def _may_be_used(self, facts: CaseFacts, modality: str | None) -> bool:
        name = same_name(facts.structure)
        asked = self.structure is None or name == same_name(self.structure)
        passed_over = self.excluded is not None and name == same_name(self.excluded)
        # What a case was seen on need not be known, as of a scan.
        modality = "PET" if modality == "PT" else modality  # cases keep the common word, scans DICOM's
        return asked and not passed_over and (not modality or facts.modality in ("", modality))

    def _current_index(self) -> NearestCases | None:
        while self._revision != self.memory.revision:  # again, when a case turned out to be damaged
            revision = self.memory.revision
            vectors, self._cases = self.memory.stacked("prior.descriptors"), self.memory.cases
            self._index = NearestCases(vectors.reshape(-1, vectors.shape[-1])) if len(vectors) else None
            self._revision = revision
        return self._index

    def _of_one_structure(self, matches: Sequence[Match]) -> tuple[str, float, list[Match]]:
        """The name with most weight, that weight, and its matches: the shapes of two structures have no mean."""
        names = [same_name(self._cases[match.case].facts.structure) for match in matches]
        votes = {name: sum(m.weight for m, n in zip(matches, names, strict=True) if n == name) for name in names}
        winner = max(votes, key=lambda name: votes[name])
        kept = [match for match, name in zip(matches, names, strict=True) if name == winner]
        name = self._cases[kept[0].case].facts.structure
        return name, votes[winner], _weighted([(match.case, match.anchor, match.cosine) for match in kept])


def same_name(name: str) -> str:
    """A structure's name as names are compared."""
    return name.strip().casefold()


def _weighted(found: Sequence[tuple[int, int, float]]) -> list[Match]:
    if not found:
        return []
    cosines = np.array([cosine for _, _, cosine in found])
    weights = np.exp((cosines - cosines.max()) / _SHARPNESS)
    weights /= weights.sum()
    return [Match(case, anchor, cosine, w) for (case, anchor, cosine), w in zip(found, weights.tolist(), strict=True)]
