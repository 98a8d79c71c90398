"""The picture of a report: bars with quartiles, or curves where a group grows with something."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..learning.curves import require_matplotlib
from ..learning.report import replacing
from .contender import Group
from .report import Report, number
from .rows import Row

# Okabe and Ito's colours, which people with any colour vision tell apart.
_REFERENCE, _OTHER, _FLOOR = "#0072B2", "#999999", "#D55E00"
_LINES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))


def draw(path: Path, report: Report) -> None:
    """Draws a report's groups below each other.

    Raises:
        OutputError: it cannot be written. CurveError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tables = [(group, [row for row in rows if row.time is not None]) for group, rows in report.tables]
    tables = [(group, rows) for group, rows in tables if rows]
    heights = [2.6 if group.x_title else 0.6 + 0.32 * len(rows) for group, rows in tables] or [1.0]
    figure = Figure(figsize=(9, sum(heights) + 0.6 + 0.4 * len(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (group, rows) in zip(panels, tables, strict=False):
        (_curves if group.x_title else _bars)(axes, group, rows)
        axes.set_title(group.title, fontsize=10, loc="left")
        axes.grid(alpha=0.25)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    if not tables:
        panels[0].set_axis_off()
    figure.suptitle(f"{report.part.title}, {report.machine['device']}, {report.machine['started'][:10]}", fontsize=11)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=130)


def _bars(axes: Any, group: Group, rows: Sequence[Row]) -> None:
    places = range(len(rows))
    times = [row.time for row in rows if row.time is not None]
    medians = [time.median for time in times]
    spread = [[time.median - time.low for time in times], [time.high - time.median for time in times]]
    colours = [_REFERENCE if row.name == group.reference else _OTHER for row in rows]
    axes.barh(places, medians, xerr=spread, color=colours, error_kw={"linewidth": 1})
    for place, row, time in zip(places, rows, times, strict=True):
        ratio = "" if row.ratio is None or row.name == group.reference else f"  (x {row.ratio.median:.2f})"
        axes.annotate(
            f"{number(time.median)} ms{ratio}", (time.high, place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip
        if row.floor_ms is not None:
            axes.plot([row.floor_ms] * 2, [place - 0.4, place + 0.4], color=_FLOOR, linewidth=2)
    axes.set_yticks(places, [row.name for row in rows], fontsize=8)
    axes.invert_yaxis()
    if max(medians) > 20 * min(medians):
        axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (4 if axes.get_xscale() == "log" else 1.25))
    axes.set_xlabel("ms, median and quartiles" + (", floor" if any(row.floor_ms for row in rows) else ""), fontsize=8)


def _curves(axes: Any, group: Group, rows: Sequence[Row]) -> None:
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(_line_of(row), []).append(row)
    for (title, line), (colour, marker) in zip(lines.items(), _LINES * len(lines), strict=False):
        points = sorted((row.x, row.time) for row in line if row.x is not None and row.time is not None)
        x, times = [place for place, _ in points], [time for _, time in points]
        axes.plot(x, [time.median for time in times], color=colour, marker=marker, markersize=4, label=title)
        axes.fill_between(x, [t.low for t in times], [t.high for t in times], color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(group.x_title, fontsize=8)
    axes.set_ylabel("ms", fontsize=8)
    if len(lines) > 1:
        axes.legend(fontsize=8, frameon=False)


def _line_of(row: Row) -> str:
    """The lap, or what stands before a comma: contenders of a curve are called ``what, at which x``."""
    _, _, lap = row.name.partition(": ")
    return lap or row.name.partition(",")[0]
