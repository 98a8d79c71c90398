"""Segments that a case memory proposes without a click, against the first click of the evaluation's rule."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from MemorizingSAM3DLib.learning.data.cases import Case, case_volume
from MemorizingSAM3DLib.learning.evaluation.metrics import dice
from MemorizingSAM3DLib.learning.evaluation.report import replacing
from MemorizingSAM3DLib.learning.evaluation.statistics import CaseBootstrap
from MemorizingSAM3DLib.learning.simulated_user import central_click


@dataclass(frozen=True)
class ProposedStructure:
    """What became of one structure.

    Attributes:
        found: the memory recognised it somewhere. inside: there the structure is.
        proposed: Dice after the proposal, 0 where there is none. clicked: after the first click of the evaluation's
            rule, which knows the truth, with the same memory.
        crops: that were encoded; less where other structures of the scan were looked for before. seconds: it took.
    """

    dataset: str
    case: str
    structure: str
    found: bool
    inside: bool
    proposed: float
    clicked: float
    crops: int
    seconds: float


def proposed_structures(predictor: Predictor, case: Case, labels: Collection[int]) -> Iterator[ProposedStructure]:
    """Looks for those structures of a case that the predictor's case memory has a name for.

    Args:
        labels: the structures; others are not looked for.
    """
    retrieval = predictor.case_retrieval
    assert retrieval is not None
    volume = case_volume(case)
    session = InteractiveSession(predictor)
    session.set_image(volume)
    for label in labels:
        name = case.structures[label]
        if not len(retrieval.deepest_places(name, predictor.modality)):
            continue
        truth = np.ascontiguousarray((case.labels == label).transpose(2, 1, 0))
        encoded, begun = predictor.encodes, perf_counter()
        found = session.propose(name)
        seconds, crops = perf_counter() - begun, predictor.encodes - encoded
        inside = found is not None and bool(truth[volume.nearest_voxel(found.ras)[::-1]])
        proposed = dice(session.mask, truth) if found is not None else 0.0
        session.reset()
        click = central_click(session.mask, truth, volume.spacing[::-1])
        assert click is not None
        r, a, s = volume.ijk_to_ras_points(np.array(click.voxel[::-1], dtype=float)).tolist()
        session.add_click(Click((r, a, s)))
        clicked = dice(session.mask, truth)
        session.reset()
        yield ProposedStructure(
            case.dataset, case.name, name, found is not None, inside, proposed, clicked, crops, seconds
        )


def write_proposals(folder: Path, size: int, device: str, rows: Sequence[ProposedStructure], seed: int) -> list[Path]:
    """Writes proposed.json and proposed.md: a line a dataset.

    Args:
        size: cases of each dataset that were remembered. device: in words. seed: of the bootstrap.

    Raises:
        OutputError: they cannot be written.
    """
    lines = [
        "# Structures that are proposed without a click",
        "",
        f"{size} training cases of each dataset remembered; {device}. Dice counts 0 where nothing was proposed. The "
        "click beside it is the evaluation's, in the middle of the true structure, with the same memory. In brackets "
        "95 % intervals, cases resampled.",
        "",
        "| dataset | structures | proposed | inside the structure | Dice without a click | Dice after one click | "
        "seconds (median) |",
        "|---|---|---|---|---|---|---|",
    ]
    figures = {}
    for name in sorted({row.dataset for row in rows}):
        own = [row for row in rows if row.dataset == name]
        values = np.array([[row.proposed, row.clicked] for row in own])
        mean = CaseBootstrap([name] * len(own), [row.case for row in own], seed=seed).over_structures(values)
        (low, _), (high, _) = mean.interval()
        found, inside = (float(np.mean([getattr(row, part) for row in own])) for part in ("found", "inside"))
        seconds = float(np.median([row.seconds for row in own]))
        figures[name] = {
            "structures": len(own), "found": found, "inside": inside, "dice": float(mean.mean[0]),
            "interval": [float(low), float(high)], "clicked": float(mean.mean[1]), "seconds": seconds,
        }  # fmt: skip
        lines.append(
            f"| {name} | {len(own)} | {found:.0%} | {inside:.0%} | {mean.mean[0]:.3f} ({low:.3f} to {high:.3f}) | "
            f"{mean.mean[1]:.3f} | {seconds:.1f} |"
        )
    texts = {
        "proposed.json": json.dumps({"datasets": figures, "structures": [asdict(row) for row in rows]}, indent=1)
        + "\n",
        "proposed.md": "\n".join([*lines, ""]),
    }
    for file, text in texts.items():
        with replacing(folder / file) as partial:
            partial.write_text(text, encoding="utf-8", newline="")
    return [folder / file for file in texts]
