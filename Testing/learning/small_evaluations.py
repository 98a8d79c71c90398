"""Cases to evaluate: bright blocks in a dark CT, which the brightness network and the classic tools find."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.learning.data.cases import Case
from MemorizingSAM3DLib.learning.evaluation.results import ClickScore, Run, StructureResult
from Testing.learning.small_files import write_case

DARK, BRIGHT = -900, 300


def two_blocks(name: str = "made/one", seed: int = 0) -> Case:
    """Two bright blocks of 20.2 and 18.5 ml in a dark CT with a little noise."""
    rng = np.random.default_rng(seed)
    image = (DARK + rng.normal(0, 15, (40, 36, 32))).astype(np.int16)
    labels = np.zeros(image.shape, np.uint8)
    labels[5:17, 6:20, 8:20] = 1
    labels[25:36, 20:32, 12:26] = 2
    image[labels > 0] += BRIGHT - DARK
    return Case(name, name.split("/")[0], "CT", image, labels, (2.0, 2.0, 2.5), {1: "left block", 2: "right block"})


def manifest_of(folder: Path, names: Sequence[str] = ("made/one", "other/two")) -> Path:
    """Those cases as files, with their manifest; all are for validation."""
    entries: list[dict[str, Any]] = []
    for seed, name in enumerate(names):
        case = two_blocks(name, seed)
        write_case(folder / name / "image.nii.gz", folder / name / "label.nii.gz", case)
        dataset, number = name.split("/")
        labels = {str(value): {"name": text} for value, text in case.structures.items()}
        entries.append({"id": name, "dataset": dataset, "case": number, "split": "val", "modality": "CT",
                        "licence": "CC0", "labels": labels})  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder / "manifest.json"


def a_run(contender: str, clicks_from: str, *dice: float, nsd: bool = True, failure: str | None = None) -> Run:
    scores = tuple(
        ClickScore("point", (1.0, 2.0, 3.0), number == 0, value, value / 2 if nsd else None, 10.0 * (number + 1))
        for number, value in enumerate(dice)
    )
    return Run(contender, clicks_from, scores, failure)


def a_result(dataset: str, case: str, *runs: Run, label: int = 1, modality: str = "CT") -> StructureResult:
    return StructureResult(f"{dataset}/{case}", dataset, modality, label, f"structure {label}", 2.0, runs)


class BallTool:
    """A baseline that anyone can predict: a ball around every positive click, nothing around the last negative one."""

    name, title = "ball", "Ball"

    def __init__(self, radius_mm: float = 10.0, fails_at: int | None = None) -> None:
        self.radius_mm, self.fails_at = radius_mm, fails_at
        self.attended: list[list[Click]] = []

    @property
    def parameters(self) -> dict[str, float]:
        return {"radius_mm": self.radius_mm}

    def require(self) -> None: ...

    def segment(self, volume: Volume, clicks: Sequence[Click]) -> np.ndarray:
        self.attended.append(list(clicks))
        if self.fails_at == len(clicks):
            raise RuntimeError("the ball burst")
        ijk = np.indices(volume.shape)[::-1].reshape(3, -1).T
        ras = volume.ijk_to_ras_points(ijk)
        mask = np.zeros(len(ras), bool)
        for click in clicks:
            mask[((ras - click.ras) ** 2).sum(1) <= self.radius_mm**2] = click.positive
        return mask.reshape(volume.shape)
