"""The table and the picture of what an interaction memory costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .curves import require_matplotlib
from .report import replacing

_PARTS = {"train": "training step", "click": "clicks"}


def write_costs(folder: Path, measured: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Writes cost.json, cost.md and cost.png.

    Args:
        measured: ``about`` (the arguments of ``cost_of``) and ``found`` (what it gave) of each measurement.

    Raises:
        OutputError: they cannot be written. CurveError: matplotlib is not installed.
    """
    texts = {"cost.json": json.dumps(list(measured), indent=1) + "\n", "cost.md": cost_markdown(measured)}
    for name, text in texts.items():
        with replacing(folder / name) as partial:
            partial.write_text(text, encoding="utf-8", newline="")
    _draw(folder / "cost.png", measured)
    return [folder / name for name in (*texts, "cost.png")]


def cost_markdown(measured: Sequence[Mapping[str, Any]]) -> str:
    """The measurements as Markdown."""
    about = measured[0]["about"]
    lines = [
        "# What an interaction memory costs",
        "",
        f"Model {about['model']}, device {about['device']}, {about['threads']} threads, N = {about['bank_size']}, "
        f"{about['clicks']} clicks; an untrained memory attention computes as much as a trained one. A training step "
        "is one crop, its window of 4 clicks the last of so many. Each line is a process of its own; memory: its peak.",
        "",
        "| | seconds | first click, ms | last clicks, ms | process, MB | GPU, MB |",
        "|---|---|---|---|---|---|",
    ]
    for one in measured:
        found = one["found"]
        cells = [_title(one), f"{found['seconds']:.2f}"]
        cells += ["" if found[key] is None else f"{found[key]:.0f}" for key in ("first", "last")]
        cells += ["" if found[key] is None else f"{found[key] / 1e6:.0f}" for key in ("peak_bytes", "gpu_bytes")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _title(one: Mapping[str, Any]) -> str:
    return f"{_PARTS[one['about']['part']]}, {'with' if one['about']['memory'] else 'without'} memory"


def _draw(path: Path, measured: Sequence[Mapping[str, Any]]) -> None:
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    titles = [_title(one) for one in measured]
    colours = ["#D55E00" if one["about"]["memory"] else "#777777" for one in measured]
    memory = "gpu_bytes" if measured[0]["found"]["gpu_bytes"] is not None else "peak_bytes"
    heads = (("seconds", "seconds", 1.0), (memory, "peak memory, MB", 1e6))
    for axes, (key, heading, unit) in zip(figure.subplots(1, 2, sharey=True), heads, strict=True):
        values = [(one["found"][key] or 0) / unit for one in measured]
        axes.barh(titles, values, color=colours)
        axes.set_xlabel(heading)
        axes.grid(axis="x", alpha=0.25)
    axes.invert_yaxis()  # of both: the first measurement is on top
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)
