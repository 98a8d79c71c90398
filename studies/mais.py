"""What each experiment on the interaction memory compares: its trainings, and what is used in its evaluations.

Tables and curves of the experiments on the interaction memory, made of the evaluations' files.

The table and the picture of what an interaction memory costs.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from MemorizingSAM3DLib.engine.networks.memory_attention import DEFAULT_CAPACITY, MemoryTypes
from MemorizingSAM3DLib.learning.data.manifest import DataError
from MemorizingSAM3DLib.learning.evaluation.report import CASES, CurveError, replacing, require_matplotlib
from MemorizingSAM3DLib.learning.evaluation.results import MODEL, SAME_CLICKS
from MemorizingSAM3DLib.learning.evaluation.statistics import CaseBootstrap

FRACTIONS, BANK_SIZES, KINDS, COST = "fractions", "bank-sizes", "kinds", "cost"
TABLES = (FRACTIONS, BANK_SIZES, KINDS, COST)


@dataclass(frozen=True)
class TrainingPlan:
    """A training. Two arms with equal plans share one.

    Attributes:
        cases: of each dataset, as a number or in per cent. kinds: of memories; None: trained without memory.
        capacity: interactions that are remembered in training.
    """

    cases: str
    kinds: MemoryTypes | None
    capacity: int = DEFAULT_CAPACITY

    @property
    def folder(self) -> str:
        """Its name among the trainings."""
        cases = self.cases.replace("%", "pc")
        return f"cases-{cases}-without" if self.kinds is None else f"cases-{cases}-{self.kinds}-{self.capacity}"


@dataclass(frozen=True)
class Variant:
    """A line of a table, a curve of its picture.

    Attributes:
        title: of it. training: that it follows from. attended: interactions that are used in its evaluation.
        against: the title of the arm that its gain is measured against; None: it is one to measure against.
    """

    title: str
    training: TrainingPlan
    attended: int = DEFAULT_CAPACITY
    against: str | None = None

    @property
    def folder(self) -> str:
        """Its name among the evaluations."""
        return self.training.folder if self.training.kinds is None else f"{self.training.folder}-heard-{self.attended}"


def variants_of(table: str, fractions: Sequence[str], bank_sizes: Sequence[int], cases: str,
            train_each: bool = False) -> list[Variant]:  # fmt: skip
    """The arms of a table.

    Args:
        table: ``fractions``, ``bank-sizes`` or ``kinds``.
        fractions: amounts of cases to train on (``fractions``). cases: the amount for the other tables.
        bank_sizes: N (``bank-sizes``). train_each: a training for each N; else one for the largest uses each N.
    """
    if table == FRACTIONS:
        pairs = [
            (
                Variant(f"{_cases(amount)}, without", TrainingPlan(amount, None)),
                Variant(
                    f"{_cases(amount)}, memory", TrainingPlan(amount, "both"), against=f"{_cases(amount)}, without"
                ),
            )
            for amount in fractions
        ]
        return [variant for pair in pairs for variant in pair]
    without = Variant("without", TrainingPlan(cases, None))
    variant = Variant("", TrainingPlan(cases, "both"), against=without.title)
    if table == BANK_SIZES:
        trained = [TrainingPlan(cases, "both", size if train_each else max(bank_sizes)) for size in bank_sizes]
        return [
            without,
            *(
                replace(variant, title=f"N = {size}", training=training, attended=size)
                for size, training in zip(bank_sizes, trained, strict=True)
            ),
        ]
    kinds: tuple[MemoryTypes, ...] = ("sparse", "dense", "both")
    return [without, *(replace(variant, title=kind, training=TrainingPlan(cases, kind)) for kind in kinds)]


def _cases(amount: str) -> str:
    if amount.endswith("%"):
        return amount.replace("%", " %")
    return "1 case" if amount == "1" else f"{amount} cases"


_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")


class Line(Protocol):
    """A line of a table, a curve of its picture: its title, and that of the one its gain is measured against."""

    @property
    def title(self) -> str: ...

    @property
    def against(self) -> str | None: ...


Dice = dict[tuple[str, str, str], list[float]]


def dice_of(folder: Path) -> Dice:
    """Dice after each click of every structure, by (dataset, case, label), from an evaluation's cases.csv.

    Raises:
        DataError: there is no such file.
    """
    found: Dice = {}
    try:
        with (folder / CASES).open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                if line["contender"] == MODEL and line["clicks_from"] == SAME_CLICKS:
                    found.setdefault((line["dataset"], line["case"], line["label"]), []).append(float(line["dice"]))
    except OSError as error:
        raise DataError(f"{folder} holds no evaluation ({error.strerror}).", "Run the experiment again.") from error
    return found


def compared(
    variants: Sequence[Line], dice: Mapping[str, Dice], clicks: Sequence[int], seed: int = 0
) -> dict[str, Any]:
    """Means of each arm and dataset, with gains over the arm it is measured against, JSON-ready.

    Intervals are those of the evaluation: 95 %, cases resampled; a gain's is paired.

    Args:
        dice: of each arm, by its title. Structures that not every arm has are left out.
    """
    shared = sorted(set.intersection(*(set(of_variant) for of_variant in dice.values())))
    if not shared:
        raise DataError("The evaluations have no structure in common.", "Run the experiment again with --restart.")
    bootstrap = CaseBootstrap([key[0] for key in shared], [key[1] for key in shared], seed=seed)
    values = {title: np.array([of_variant[key] for key in shared]) for title, of_variant in dice.items()}
    datasets: dict[str, Any] = {}
    for name in [*bootstrap.names, "mean"]:
        rows = np.array([name in (key[0], "mean") for key in shared])
        mean = bootstrap.over_datasets if name == "mean" else bootstrap.over_structures
        lines: dict[str, dict[str, Any]] = {}
        for variant in variants:
            own = mean(values[variant.title], rows)
            low, high = own.interval()
            curve = {"mean": own.mean, "low": low, "high": high}
            lines[variant.title] = {key: [round(float(v), 4) for v in part] for key, part in curve.items()}
            if variant.against is not None:
                gain = own.minus(mean(values[variant.against], rows))
                low, high = gain.interval()
                lines[variant.title]["gain"] = {
                    str(n): [round(float(part[n - 1]), 4) for part in (gain.mean, low, high)] for n in clicks
                }  # fmt: skip
        datasets[name] = {"structures": int(rows.sum()), "arms": lines}
    return {"clicks": list(clicks), "datasets": datasets}


def markdown_of(title: str, variants: Sequence[Line], found: Mapping[str, Any], remarks: Sequence[str]) -> str:
    """The comparison as Markdown, a table a dataset."""
    clicks = found["clicks"]
    lines = [f"# {title}", "", *(f"{remark}\n" for remark in remarks)]
    header = ["", *(f"Dice at {n}" for n in clicks), *(f"gain at {n}" for n in clicks)]
    for name, about in found["datasets"].items():
        heading = "Mean over datasets" if name == "mean" else name
        lines += [f"## {heading} ({about['structures']} structures)", "", f"| {' | '.join(header)} |"]
        lines.append("|---" * len(header) + "|")
        for variant in variants:
            line = about["arms"][variant.title]
            gains = [line["gain"][str(n)] if "gain" in line else None for n in clicks]
            row = [variant.title, *(f"{line['mean'][n - 1]:.3f}" for n in clicks)]
            row += ["" if gain is None else f"{gain[0]:+.3f} ({gain[1]:+.3f} to {gain[2]:+.3f})" for gain in gains]
            lines.append(f"| {' | '.join(row)} |")
        lines.append("")
    return "\n".join(lines)


def write_comparison(folder: Path, name: str, title: str, variants: Sequence[Line], found: Mapping[str, Any],
                     remarks: Sequence[str]) -> list[Path]:  # fmt: skip
    """Writes NAME.json, NAME.md and NAME.png.

    Raises:
        OutputError: they cannot be written. CurveError: matplotlib is not installed.
    """
    document = json.dumps({"title": title, "remarks": list(remarks), **found}, indent=1) + "\n"
    texts = {".json": document, ".md": markdown_of(title, variants, found, remarks)}
    for suffix, text in texts.items():
        with replacing(folder / f"{name}{suffix}") as partial:
            partial.write_text(text, encoding="utf-8", newline="")
    _draw(folder / f"{name}.png", title, variants, found)
    return [folder / f"{name}{suffix}" for suffix in (".json", ".md", ".png")]


def _draw(path: Path, title: str, variants: Sequence[Line], found: Mapping[str, Any]) -> None:
    """Dice against clicks, a panel a dataset; arms without memory are dashed, in the colour of what is measured
    against them."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CurveError("Curves need matplotlib, which is not installed here.", "pip install matplotlib") from error
    panels = [name for name in found["datasets"] if name != "mean" or len(found["datasets"]) > 2]
    figure = Figure(figsize=(5.2 * len(panels), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    colours = dict(zip([a.title for a in variants if a.against is not None], _COLOURS, strict=False))
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        about = found["datasets"][name]
        for variant in variants:
            followers = [a.title for a in variants if a.against == variant.title]
            colour = colours.get(variant.title) or (colours.get(followers[0]) if len(followers) == 1 else "#777777")
            line = about["arms"][variant.title]
            clicks = range(1, len(line["mean"]) + 1)
            style = "-" if variant.against is not None else "--"
            axes.plot(clicks, line["mean"], color=colour, linestyle=style, linewidth=1.8, label=variant.title)
            axes.fill_between(clicks, line["low"], line["high"], color=colour, alpha=0.08, linewidth=0)
        if len(about["arms"][variants[0].title]["mean"]) > 10:
            axes.set_xscale("log")
            axes.set_xticks(found["clicks"], [str(n) for n in found["clicks"]])
            axes.minorticks_off()
        axes.set_xlabel("clicks")
        axes.set_ylabel("Dice")
        heading = "mean over datasets" if name == "mean" else name
        axes.set_title(f"{heading} ({about['structures']} structures)", fontsize=10)
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=12)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150)


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
    _draw_cost(folder / "cost.png", measured)
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


def _draw_cost(path: Path, measured: Sequence[Mapping[str, Any]]) -> None:
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
