"""The files of an evaluation: results.json, cases.csv, table.md."""

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
from typing import Any

from ..engine.errors import OutputError
from .challenge import CVPR25, challenge_table
from .effort import effort_table
from .first_prompts import POINT
from .scores import Failure, StructureResult

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
