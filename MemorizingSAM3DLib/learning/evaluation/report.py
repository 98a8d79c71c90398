"""The files of an evaluation: results.json, cases.csv, table.md.

Curves of an evaluation: scores against clicks, the model and the baselines, as PNG.
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from MemorizingSAM3DLib.engine.errors import EngineError, OutputError

from .challenge import CVPR25, challenge_table
from .effort import effort_table
from .first_prompts import POINT
from .results import Failure, StructureResult

RESULTS, CASES, TABLE = "results.json", "cases.csv", "table.md"
COLUMNS = (
    "case", "dataset", "modality", "label", "structure", "ml", "contender", "clicks_from", "click", "kind", "positive",
    "r", "a", "s", "dice", "nsd", "milliseconds", "failure",
)  # fmt: skip
_PACKAGES = ("torch", "numpy", "scipy", "SimpleITK", "monai", "scikit-image", "slicer-core", "vtk", "matplotlib")


def versions() -> dict[str, str | None]:
    """Of Python, the system and the packages that results may depend on; None: not installed."""
    found: dict[str, str | None] = {"python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def write_results(folder: Path, document: Mapping[str, Any], results: Sequence[StructureResult]) -> list[Path]:
    """Writes the files; each whole or not at all.

    Args:
        document: what goes to results.json, see ``Resources/Schemas/evaluation.schema.json``.

    Returns:
        their paths.

    Raises:
        OutputError: they cannot be written.
    """
    texts = {
        RESULTS: json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
        CASES: cases_csv(results),
        TABLE: markdown_table(document),
    }
    for name, text in texts.items():
        with replacing(folder / name) as partial:
            partial.write_text(text, encoding="utf-8", newline="")
    return [folder / name for name in texts]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, whose file then takes the place of ``path``; on an error, what was there stays.

    Raises:
        OutputError: the file cannot be written.
    """
    partial = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}).", "Check the free space and the permissions."
        ) from error


def cases_csv(results: Sequence[StructureResult]) -> str:
    """One line for each case, structure, contender and prompt.

    ``r``, ``a``, ``s`` are mm from the scan's left, back, lower corner, of what is drawn its middle; empty where no
    prompt was needed any more.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in results:
        about = (result.case, result.dataset, result.modality, result.label, result.name, f"{result.millilitres:.2f}")
        for run in result.runs:
            for number, score in enumerate(run.scores, 1):
                place = ("", "", "") if score.ras is None else tuple(f"{x:.2f}" for x in score.ras)
                sign = "" if score.positive is None else int(score.positive)
                nsd = "" if score.nsd is None else f"{score.nsd:.4f}"
                time = "" if score.milliseconds is None else f"{score.milliseconds:.1f}"
                scores = (f"{score.dice:.4f}", nsd, time, run.failure or "")
                writer.writerow(
                    (*about, run.contender, run.clicks_from, number, score.kind or "", sign, *place, *scores)
                )
    return text.getvalue()


def markdown_table(document: Mapping[str, Any]) -> str:
    """The contenders' means, then the model by dataset, as Markdown."""
    clicks = list(document["mean"]["dice"])
    model, environment = document["model"], document["environment"]
    lines = [
        f"Model `{model['name']}` ({model['sha256'][:12]}), "
        f"{counted(document['mean']['labels'], 'structure')} of {counted(document['mean']['cases'], 'case')}, "
        f"mean over {counted(len(document['datasets']), 'dataset')}; "
        f"{environment['device']}, {environment['finished'][:10]}.",
        "",
        *_table(
            ["", *(f"Dice after {n}" for n in clicks), f"best of {clicks[-1]}", "area", f"NSD after {clicks[-1]}",
             "ms a click"],
            [_contender_row(title, means, clicks) for title, means in _contenders(document)],
        ),
        "",
        *_table(
            ["dataset", "structures", *(f"Dice after {n}" for n in clicks), f"NSD after {clicks[-1]}",
             *(["best baseline"] if "baselines" in document else [])],
            [_dataset_row(name, document["datasets"][name], document, clicks) for name in document["datasets"]]
            + _overall_rows(document, clicks),
        ),
        "",
        *_table(*effort_table(document)),
        "",
        *([*_table(*challenge_table(document)), ""] if "challenge" in document else []),
        f"Last Dice after so many prompts, with its 95 % interval (bootstrap over cases). {_how_prompted(document)} "
        "The other tools get the same prompts, what is drawn as points"
        + (", and in the lines so marked prompts on their own errors." if "baselines_own_clicks" in document else "."),
        "lost: share of the prompts after the first that lost so much Dice. prompts to: mean over the structures that "
        "reach that Dice, in brackets the share that never does.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _how_prompted(document: Mapping[str, Any]) -> str:
    options = document["options"]
    rule = "the CVPR 2025 challenge's" if options["protocol"] == CVPR25 else "the published"
    first = "" if options["start"] == POINT else f"The first prompt is a {options['start']}. "
    return f"{first}Points by {rule} rule, on the model's errors."


def _overall_rows(document: Mapping[str, Any], clicks: Sequence[str]) -> list[list[str]]:
    """The means over datasets, and over those that the model was never trained on."""
    names = {"**mean over datasets**": "mean", "**never trained on**": "never_trained"}
    return [_dataset_row(title, document[key], document, clicks, key) for title, key in names.items() if document[key]]


def counted(number: int, noun: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _contenders(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = [("**this model**", document["mean"])]
    for key, remark in (("baselines", ""), ("baselines_own_clicks", ", its own clicks")):
        found += [(about["title"] + remark, about["mean"]) for about in document.get(key, {}).values()]
    return found


def _contender_row(title: str, means: Mapping[str, Any], clicks: Sequence[str]) -> list[str]:
    row = [title]
    for n in clicks:
        low, high = means["interval"]["dice"][n]
        row.append(f"{means['dice'][n]:.3f} ({low:.3f} to {high:.3f})")
    later = means["later_click_ms"] if means["later_click_ms"] is not None else means["first_click_ms"]
    nsd = "" if means["nsd"] is None else f"{means['nsd'][clicks[-1]]:.3f}"
    return [*row, f"{means['dice_max'][clicks[-1]]:.3f}", f"{means['auc']['dice']:.3f}", nsd,
            "" if later is None else f"{later:.0f}"]  # fmt: skip


def _dataset_row(name: str, means: Mapping[str, Any], document: Mapping[str, Any], clicks: Sequence[str],
                 key: str | None = None) -> list[str]:  # fmt: skip
    """A row of the model's means, with the best baseline's; ``key``: of means that are no dataset's."""
    row = [name, str(means["labels"]), *(f"{means['dice'][n]:.3f}" for n in clicks)]
    row.append("" if means["nsd"] is None else f"{means['nsd'][clicks[-1]]:.3f}")
    if "baselines" in document:
        compared = "5" if "5" in clicks else clicks[-1]
        tools = document["baselines"].values()
        blocks = {about["title"]: about[key] if key else about["datasets"][name] for about in tools}
        scores = {title: block["dice"][compared] for title, block in blocks.items()}
        best = max(scores, key=lambda title: scores[title])
        row.append(f"{scores[best]:.3f} after {compared} ({best})")
    return row


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = "|---" * len(header) + "|"
    return [f"| {' | '.join(header)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)]


def failures_json(failures: Sequence[Failure]) -> list[dict[str, Any]]:
    """For results.json."""
    return [dict(vars(failure)) for failure in failures]


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
