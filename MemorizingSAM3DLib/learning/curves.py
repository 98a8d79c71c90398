"""Curves of an evaluation: scores against clicks, the model and the baselines, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from ..engine.errors import EngineError
from .report import counted, replacing

CURVES, CURVES_BY_DATASET = "curves.png", "curves_by_dataset.png"
_COLUMNS = 3
_MARKS = 20  # clicks that get a mark and a number of their own
# Okabe and Ito's colours, which people with any colour vision tell apart; markers differ too.
_MODEL_STYLE = ("#0072B2", "o")
_STYLES = (("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))
_LABEL_GAP = 0.055  # of the axes' height, between two labels


class CurveError(EngineError):
    """There is nothing to draw with."""


class _Line(NamedTuple):
    title: str
    colour: str
    marker: str
    dashed: bool
    blocks: Mapping[str, Any]


def require_matplotlib() -> None:
    """Asked before hours of computing.

    Raises:
        CurveError: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise CurveError("Curves need matplotlib, which is not installed here.", "pip install matplotlib") from error


def draw_curves(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draws the means over datasets (Dice, and NSD where it was measured), and Dice of each dataset.

    Args:
        document: of results.json.

    Returns:
        the paths of the pictures.

    Raises:
        CurveError: matplotlib is not installed. OutputError: the pictures cannot be written.
    """
    lines = _lines(document)
    means, datasets = document["mean"], document["datasets"]
    titles = {"dice": "Dice", "nsd": f"NSD at {document['options']['tolerance_mm']:g} mm"}
    overall = [(title, key, [line.blocks["mean"] for line in lines]) for key, title in titles.items() if means[key]]
    _draw(folder / CURVES, f"Mean over {counted(len(datasets), 'dataset')}", lines, overall, (5.4, 4.4), len(overall))
    by_dataset = [
        (f"{name} ({counted(about['labels'], 'structure')})", "dice", [line.blocks["datasets"][name] for line in lines])
        for name, about in datasets.items()
    ]
    _draw(folder / CURVES_BY_DATASET, "Dice of each dataset", lines, by_dataset, (4.6, 3.4), _COLUMNS)
    return [folder / CURVES, folder / CURVES_BY_DATASET]


def _lines(document: Mapping[str, Any]) -> list[_Line]:
    lines = [_Line("this model", *_MODEL_STYLE, False, document)]
    for key, remark, dashed in (("baselines", "", False), ("baselines_own_clicks", " (own clicks)", True)):
        for about, (colour, marker) in zip(document.get(key, {}).values(), _STYLES, strict=False):
            lines.append(_Line(about["title"] + remark, colour, marker, dashed, about))
    return lines


def _draw(path: Path, title: str, lines: Sequence[_Line], panels: Sequence[tuple[str, str, list[Any]]],
          size: tuple[float, float], columns: int) -> None:  # fmt: skip
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (heading, key, blocks) in zip(grid, panels, strict=False):
        _draw_panel(axes, heading, key, lines, blocks)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    figure.suptitle(title, fontsize=12)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)


def _draw_panel(axes: Any, heading: str, key: str, lines: Sequence[_Line], blocks: Sequence[Any]) -> None:
    ends = []
    for line, block in zip(lines, blocks, strict=True):
        curve = block["curve"][key]
        clicks = range(1, len(curve["mean"]) + 1)
        style: dict[str, Any] = {"color": line.colour, "linestyle": "--" if line.dashed else "-", "marker": line.marker}
        width = 2.4 if line.colour == _MODEL_STYLE[0] else 1.4
        style |= {"markevery": max(1, len(clicks) // _MARKS)}
        axes.plot(clicks, curve["mean"], linewidth=width, markersize=4, **style)
        if not line.dashed:
            axes.fill_between(clicks, curve["low"], curve["high"], color=line.colour, alpha=0.13, linewidth=0)
        ends.append((curve["mean"][-1], line))
    count = len(blocks[0]["curve"][key]["mean"])
    axes.set_xlim(0.8, count + 0.2)
    axes.set_ylim(0, 1)
    if count <= _MARKS:  # else matplotlib's own choice
        axes.set_xticks(range(1, count + 1))
    axes.set_xlabel("prompts")
    axes.set_title(heading, fontsize=10)
    axes.grid(alpha=0.25)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for place, (_, line) in zip(spread([value for value, _ in ends], _LABEL_GAP), ends, strict=True):
        axes.annotate(
            line.title, (1.0, place), xycoords="axes fraction", xytext=(4, 0), textcoords="offset points",
            color=line.colour, va="center", fontsize=9, annotation_clip=False,
        )  # fmt: skip


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Places for labels, in the order of their values, at least a gap apart and else as near to them as can be."""
    order = np.argsort(values, kind="stable")
    steps = gap * np.arange(len(values))
    nearest = isotonic_regression(np.array(values)[order] - steps).x + steps
    places = np.empty(len(values))
    places[order] = nearest - max(nearest[-1] - 1.0, 0.0)
    return [float(place) for place in places]
