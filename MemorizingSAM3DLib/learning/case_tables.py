"""What the experiments on the case memory write beside the tables that all experiments have."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .case_arms import CaseArm
from .curves import require_matplotlib
from .report import replacing

COLUMNS = ("dataset", "structures", "arm", "click", "dice", "low", "high", "gain", "gain_low", "gain_high")


def write_csv(path: Path, arms: Sequence[CaseArm], found: Mapping[str, Any]) -> None:
    """A line for each dataset, arm and click that is told of.

    Args:
        found: by :func:`.mais_tables.compared`.

    Raises:
        OutputError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, about in found["datasets"].items():
        for arm in arms:
            line = about["arms"][arm.title]
            for click in found["clicks"]:
                dice = (line[key][click - 1] for key in ("mean", "low", "high"))
                gain = line["gain"][str(click)] if "gain" in line else ("", "", "")
                writer.writerow((name, about["structures"], arm.title, click, *dice, *gain))
    with replacing(path) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8", newline="")


def draw_growth(path: Path, title: str, arms: Sequence[CaseArm], found: Mapping[str, Any]) -> None:
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
    without = [arm for arm in arms if not arm.remembered]
    ways = (("all", "#0072B2", "all cases are asked"), ("known", "#D55E00", "cases of the same name are asked"))
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        about = found["datasets"][name]
        for names, colour, label in ways:
            shown = [*without, *(arm for arm in arms if arm.remembered and arm.names == names)]
            if len(shown) == len(without):
                continue
            lines = [about["arms"][arm.title] for arm in shown]
            counts = [arm.remembered for arm in shown]
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
