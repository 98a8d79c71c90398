"""What each experiment on the case memory compares: how many cases are remembered, and how they are used.

What the experiments on the case memory write beside the tables that all experiments have.

The table and the picture of what a case memory costs.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MemorizingSAM3DLib.engine.case_memory.attention import DEFAULT_ATTENDED
from MemorizingSAM3DLib.engine.networks.memorizing_attention import PAPER_RATIO
from MemorizingSAM3DLib.learning.evaluation.memory_options import Names
from MemorizingSAM3DLib.learning.evaluation.report import replacing, require_matplotlib

GROWTH, ABSENT, ATTENTION, PROPOSED, OVERHEAD = "growth", "absent", "attention", "proposed", "overhead"
TUNED = "tuned"
TABLES = (GROWTH, ABSENT, ATTENTION, TUNED, PROPOSED, OVERHEAD)
WITHOUT = "without memory"
AS_IT_IS, FINE_TUNED = "as it is", "fine-tuned"  # the model, in the table ``tuned``


@dataclass(frozen=True)
class CaseVariant:
    """A line of a table. Arms that differ in their titles alone share one evaluation.

    Attributes:
        title: of it. remembered: cases of each dataset; 0: there is no memory.
        names: what is known of the clicked structure, when it is asked where it was.
        block: of the encoder, that attends to cases; None: remembered structures are asked instead.
        neighbours: cases that a block attends to. ratio: of its local attention.
        against: the title of the arm that its gain is measured against; None: it is one to measure against.
    """

    title: str
    remembered: int
    names: Names = "all"
    block: int | None = None
    neighbours: int = DEFAULT_ATTENDED
    ratio: float = PAPER_RATIO
    against: str | None = WITHOUT

    @property
    def folder(self) -> str:
        """Its name among the evaluations."""
        if not self.remembered:
            return "without"
        if self.block is None:
            return f"n-{self.remembered}-names-{self.names}"
        how = f"ratio-{self.ratio:g}"
        return f"n-{self.remembered}-block-{self.block}-k-{self.neighbours}-{how}"


@dataclass(frozen=True)
class Ablations:
    """What is tried.

    Attributes:
        sizes: cases of each dataset that are remembered. blocks: of the encoder, that attend.
        neighbours: cases that are attended to. ratios: of the local attention.
        known: whether cases of the clicked structure alone are asked, too.
    """

    sizes: Sequence[int]
    blocks: Sequence[int] = (4,)
    neighbours: Sequence[int] = (1, 3, 5, 10)
    ratios: Sequence[float] = (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)
    known: bool = False


def variants_of(table: str, tried: Ablations) -> list[CaseVariant]:
    """The arms of a table (not of ``proposed`` and ``overhead``), the one without memory first."""
    without = CaseVariant(WITHOUT, 0, against=None)
    most = max(tried.sizes)
    if table == GROWTH:
        variants = [CaseVariant(f"n = {size}", size) for size in tried.sizes]
        if tried.known:
            variants += [CaseVariant(f"n = {size}, name known", size, "known") for size in tried.sizes]
        return [without, *variants]
    if table == ABSENT:
        return [without, CaseVariant(f"n = {most}, none of the clicked structure", most, "absent")]
    usual = CaseVariant("", most, block=tried.blocks[0])
    if table == TUNED:
        return [
            variant
            for model in (AS_IT_IS, FINE_TUNED)
            for variant in (
                CaseVariant(model, 0, against=None),
                replace(usual, title=f"{model}, attention to cases", against=model),
                CaseVariant(f"{model}, asked where it was", most, against=model),
            )
        ]
    return [
        without,
        *(replace(usual, title=f"k = {k}", neighbours=k) for k in tried.neighbours),
        *(replace(usual, title=f"local ratio {ratio:g}", ratio=ratio) for ratio in tried.ratios),
        *(replace(usual, title=f"block {block}", block=block) for block in tried.blocks),
        *(replace(usual, title=f"n = {size}", remembered=size) for size in tried.sizes),
    ]


COLUMNS = ("dataset", "structures", "arm", "click", "dice", "low", "high", "gain", "gain_low", "gain_high")


def write_csv(path: Path, variants: Sequence[CaseVariant], found: Mapping[str, Any]) -> None:
    """A line for each dataset, arm and click that is told of.

    Args:
        found: by :func:`.mais.compared`.

    Raises:
        OutputError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, about in found["datasets"].items():
        for variant in variants:
            line = about["arms"][variant.title]
            for click in found["clicks"]:
                dice = (line[key][click - 1] for key in ("mean", "low", "high"))
                gain = line["gain"][str(click)] if "gain" in line else ("", "", "")
                writer.writerow((name, about["structures"], variant.title, click, *dice, *gain))
    with replacing(path) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8", newline="")


def draw_growth(path: Path, title: str, variants: Sequence[CaseVariant], found: Mapping[str, Any]) -> None:
    """Dice at the first click against the number of remembered cases, a panel a dataset.

    Raises:
        OutputError: it cannot be written. CurveError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [name for name in found["datasets"] if name != "mean" or len(found["datasets"]) > 2]
    figure = Figure(figsize=(4.6 * len(panels), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    without = [variant for variant in variants if not variant.remembered]
    ways = (("all", "#0072B2", "all cases are asked"), ("known", "#D55E00", "cases of the same name are asked"))
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        about = found["datasets"][name]
        for names, colour, label in ways:
            shown = [*without, *(variant for variant in variants if variant.remembered and variant.names == names)]
            if len(shown) == len(without):
                continue
            lines = [about["arms"][variant.title] for variant in shown]
            counts = [variant.remembered for variant in shown]
            mean, low, high = ([line[key][0] for line in lines] for key in ("mean", "low", "high"))
            axes.plot(counts, mean, color=colour, marker="o", linewidth=1.8, label=label)
            axes.fill_between(counts, low, high, color=colour, alpha=0.12, linewidth=0)
            axes.set_xscale("symlog", linthresh=1)
            axes.set_xticks(counts, [str(count) for count in counts])
        axes.minorticks_off()
        axes.set_xlabel("remembered cases")
        axes.set_ylabel("Dice after the first click")
        heading = "mean over datasets" if name == "mean" else name
        axes.set_title(f"{heading} ({about['structures']} structures)", fontsize=10)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=12)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)


def write_case_costs(folder: Path, found: Mapping[str, Any]) -> list[Path]:
    """Writes overhead.json, overhead.md, overhead.csv and overhead.png.

    Args:
        found: by :func:`..benchmarks.case_memory_cost.measure_case_memory`, and its ``device``.

    Raises:
        OutputError: they cannot be written. CurveError: matplotlib is not installed.
    """
    rows = {
        "encode a crop": found["plain_ms"],
        "encode attending to 3 cases": found["attending_ms"],
        **{f"ask {size} remembered cases": spent for size, spent in found["recall_ms"].items()},
    }
    lines = [
        "# What a case memory costs",
        "",
        f"{found['device']}; medians, in turn. Attention adds {found['added']:+.1%} to an encoding; a first click asks "
        "the memory once.",
        "",
        "| | ms |",
        "|---|---|",
        *(f"| {name} | {spent:.1f} |" for name, spent in rows.items()),
        "",
    ]
    texts = {
        "overhead.json": json.dumps(found, indent=1) + "\n",
        "overhead.md": "\n".join(lines),
        "overhead.csv": "".join(f"{name},{spent}\n" for name, spent in {"what": "ms", **rows}.items()),
    }
    for name, text in texts.items():
        with replacing(folder / name) as partial:
            partial.write_text(text, encoding="utf-8", newline="")
    _draw_cost(folder / "overhead.png", rows)
    return [folder / name for name in (*texts, "overhead.png")]


def _draw_cost(path: Path, rows: Mapping[str, float]) -> None:
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.barh(list(rows), list(rows.values()), color="#0072B2")
    axes.invert_yaxis()
    axes.set_xlabel("ms")
    axes.grid(axis="x", alpha=0.25)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)
