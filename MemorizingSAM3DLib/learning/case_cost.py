"""The table and the picture of what a case memory costs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .curves import require_matplotlib
from .report import replacing


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
    _draw(folder / "overhead.png", rows)
    return [folder / name for name in (*texts, "overhead.png")]


def _draw(path: Path, rows: Mapping[str, float]) -> None:
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
