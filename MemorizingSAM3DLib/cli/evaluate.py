"""``memorizing-sam3d evaluate``: how well a model segments by simulated prompts, and the classic tools on the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from .options import chosen_cases

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.models.checkpoints import Checkpoint
    from MemorizingSAM3DLib.engine.session.predictor import Predictor
    from MemorizingSAM3DLib.learning.evaluation.baselines import Baseline
    from MemorizingSAM3DLib.learning.evaluation.run import Job, Outcome

_LOOPS = ("same", "own")
_SHOWN_FAILURES = 5
_CLICKS = 10


def register(app: typer.Typer) -> None:
    """Adds the command to the program."""
    app.command("evaluate")(evaluate)


def evaluate(
    manifest: Annotated[Path, typer.Option(help="manifest.json beside the cases, or a training pack.")],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the results. An interrupted run in it is continued.")
    ],
    split: Annotated[str, typer.Option(help="train or val.")] = "val",
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    labels_per_case: Annotated[int | None, typer.Option(min=1, help="At most so many structures a case.")] = None,
    clicks: Annotated[
        int | None,
        typer.Option(
            min=1, max=150, help="Prompts a structure. cvpr25: points, a box is one more.", show_default="10, cvpr25 5"
        ),
    ] = None,
    start: Annotated[
        str, typer.Option(help="The first prompt: point, box, flat-box, scribble or lasso; points follow.")
    ] = "point",
    protocol: Annotated[
        str, typer.Option(help="Whose rule chooses points: published, or cvpr25, the challenge's of CVPR 2025.")
    ] = "published",
    seed: Annotated[int, typer.Option(help="For the choice of structures, and for the bootstrap.")] = 0,
    model: Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")] = None,
    never_trained: Annotated[
        str | None,
        typer.Option(
            help="Datasets that the model was never trained on, which get a mean of their own.",
            show_default="those not in its record",
        ),
    ] = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="Classic tools on the model's prompts, too.")] = False,
    baseline_loop: Annotated[
        str, typer.Option(help="same: the model's prompts. own: besides, prompts on the tools' own errors.")
    ] = "same",
    interaction_memory: Annotated[
        str | None,
        typer.Option(help="Past clicks and masks: on, off, or a file of train-memory.", show_default="on if there is"),
    ] = None,
    memory_off: Annotated[
        bool, typer.Option("--memory-off", help="Keep the decoder that was trained with the memory, use nothing.")
    ] = False,
    bank_size: Annotated[
        int | None, typer.Option(min=1, max=256, help="Past interactions that are used.", show_default="as trained")
    ] = None,
    case_memory: Annotated[
        Path | None, typer.Option(help="A memory of training cases: memory build.", show_default="none")
    ] = None,
    neighbours: Annotated[
        int | None, typer.Option(min=1, max=100, help="Remembered cases that are used.", show_default="5, attention 3")
    ] = None,
    structure_known: Annotated[
        bool, typer.Option("--structure-known", help="Ask only remembered cases named like what is clicked.")
    ] = False,
    structure_absent: Annotated[
        bool, typer.Option("--structure-absent", help="Ask only the others: what is clicked was never remembered.")
    ] = False,
    attention_layers: Annotated[
        str | None, typer.Option(help="Encoder blocks that attend to remembered cases: 4.", show_default="none")
    ] = None,
    local_ratio: Annotated[float, typer.Option(min=0, max=1, help="Of the local attention, by ratio.")] = 0.3,
    attention_only: Annotated[
        bool, typer.Option("--attention-only", help="Do not ask remembered cases where the structure was.")
    ] = False,
    bare: Annotated[
        bool,
        typer.Option(
            "--without-session", help="The network alone on a crop around the structure, without the session."
        ),
    ] = False,
    cases: Annotated[str | None, typer.Option(help="So many cases of each dataset: 3, or 10%.")] = None,
    minimum_ml: Annotated[float, typer.Option(min=0, help="Smaller structures are left out.")] = 1.0,
    dice_only: Annotated[str, typer.Option(help="Datasets with nominal voxel sizes, which get no NSD.")] = "acdc",
    workers: Annotated[int, typer.Option(min=1, help="Processes. Times a click are those of one only with 1.")] = 1,
    restart: Annotated[bool, typer.Option("--restart", help="Compute again what is there.")] = False,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = True,
) -> None:
    """Click every structure as the published evaluation does and measure Dice and NSD after each prompt.

    Writes results.json (described in Resources/Schemas/evaluation.schema.json), cases.csv, table.md, curves.png and
    curves_by_dataset.png. A case that cannot be evaluated is listed under failures; the command fails (exit code 1)
    when none can. Interrupted, the same command goes on where it was.

    [bold]Examples[/bold]

    memorizing-sam3d evaluate --manifest data/manifest.json --split val --clicks 5 --out results

    memorizing-sam3d evaluate --manifest data/manifest.json --labels-per-case 2 --baselines --workers 2 --out results

    memorizing-sam3d evaluate --manifest data/manifest.json --clicks 150 --interaction-memory off --out without

    memorizing-sam3d evaluate --manifest data/manifest.json --case-memory my_memory --out with_memory

    memorizing-sam3d evaluate --manifest data/manifest.json --start box --clicks 6 --out box_and_five_points

    memorizing-sam3d evaluate --manifest data/manifest.json --protocol cvpr25 --start box --out challenge
    """
    import time
    from dataclasses import asdict

    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from MemorizingSAM3DLib.engine.models.download import cache_folder
    from MemorizingSAM3DLib.learning.data.manifest import DataError, select, some_of_each_dataset
    from MemorizingSAM3DLib.learning.data.pack import Collection
    from MemorizingSAM3DLib.learning.evaluation.evaluate import EvaluationOptions
    from MemorizingSAM3DLib.learning.evaluation.memory_options import OFF, MemoryChoice
    from MemorizingSAM3DLib.learning.evaluation.report import (
        draw_curves,
        failures_json,
        require_matplotlib,
        write_results,
    )
    from MemorizingSAM3DLib.learning.evaluation.results import ResumeLog, never_trained_on
    from MemorizingSAM3DLib.learning.evaluation.run import (
        FORMAT_VERSION,
        CaseSource,
        Job,
        ModelSource,
        identity,
        run_evaluation,
        work_items,
    )
    from MemorizingSAM3DLib.learning.evaluation.statistics import Summing, summarise

    prompts = _prompts(start, protocol, clicks)
    if baseline_loop not in _LOOPS:
        raise typer.BadParameter(f"{baseline_loop} is none of {', '.join(_LOOPS)}.", param_hint="--baseline-loop")
    if baseline_loop == "own" and not baselines:
        raise typer.BadParameter("--baseline-loop own needs --baselines.", param_hint="--baseline-loop")
    if memory_off and interaction_memory in (None, OFF):
        raise typer.BadParameter("It needs an --interaction-memory to keep the decoder of.", param_hint="--memory-off")
    remembered = chosen_cases(case_memory, neighbours, structure_known, structure_absent, attention_layers, local_ratio,
                              attention_only)  # fmt: skip
    started = time.monotonic()
    console = Console(highlight=False)
    collection = Collection.open(manifest)
    chosen = _names(datasets)
    _refuse_unknown(chosen or [], collection.entries, "--datasets")
    _refuse_unknown(_names(never_trained) or [], collection.entries, "--never-trained")
    entries = some_of_each_dataset(select(collection.entries, split, chosen, not include_nc), cases, seed)
    if not entries:
        raise DataError(f"No case of {manifest} matches.", "Check --split and --datasets.")
    _prepare(out)
    require_matplotlib()
    tools = _baselines() if baselines else ()
    options = EvaluationOptions(
        clicks=prompts, labels_per_case=labels_per_case, seed=seed, minimum_ml=minimum_ml,
        own_clicks=baseline_loop == "own", bare=bare, start=start, protocol=protocol,
    )  # fmt: skip
    source = CaseSource(collection, cache_folder() / "packs")
    memory = MemoryChoice(interaction_memory, not memory_off, bank_size)
    job = Job(ModelSource(model, device, _threads(workers), memory, remembered), source, options, tools)
    checkpoint, predictor, about_memory, about_cases = job.model.load_with_cases()
    _refuse_unknown_prompts(start, predictor)
    _announce(console, checkpoint, predictor, about_memory)
    tasks = work_items(source, entries, options, _names(dice_only) or [])
    same = identity(checkpoint.sha256, predictor, options, tools, about_memory, about_cases)
    finished = ResumeLog(out, same, restart)
    if finished.replaced:
        console.print("[yellow]The folder held another evaluation (model or options differ); it is replaced.[/yellow]")
    columns = (TextColumn("Evaluating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("structures", total=None)
        outcome = run_evaluation(
            job, predictor, tasks, finished, workers,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )  # fmt: skip
    _report_failures(outcome, console)
    if not outcome.results:
        raise _nothing_evaluated(outcome, minimum_ml)
    found = sorted({result.dataset for result in outcome.results})
    untrained = _names(never_trained) if never_trained else never_trained_on(checkpoint.training, found)
    summing = Summing(prompts, seed, start, protocol, untrained or ())
    document = {
        "format": "memorizing-sam3d-evaluation",
        "version": FORMAT_VERSION,
        "model": {**_model_facts(checkpoint, model), "interaction_memory": about_memory, "case_memory": about_cases},
        "options": {**asdict(options), "split": split, "datasets": chosen, "dice_only": _names(dice_only) or [],
                    "include_nc": include_nc, "cases": cases, "never_trained": untrained},
        "environment": _environment(job, predictor, workers, time.monotonic() - started, outcome.resumed),
        **summarise(outcome.results, tools, summing),
        "failures": failures_json(outcome.failures),
    }  # fmt: skip
    files = [*write_results(out, document, outcome.results), *draw_curves(document, out)]
    _show(console, document)
    console.print("Wrote " + ", ".join(file.name for file in files) + f" to {out}.", markup=False, soft_wrap=True)


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


def _prompts(start: str, protocol: str, clicks: int | None) -> int:
    """How many prompts a structure gets. Raises typer.BadParameter where they do not go together."""
    from MemorizingSAM3DLib.learning.evaluation.challenge import CHALLENGE_CLICKS, CHALLENGE_STARTS, CVPR25, PROTOCOLS
    from MemorizingSAM3DLib.learning.evaluation.first_prompts import BOX, STARTS

    for value, known, option in ((start, STARTS, "--start"), (protocol, PROTOCOLS, "--protocol")):
        if value not in known:
            raise typer.BadParameter(f"{value} is none of {', '.join(known)}.", param_hint=option)
    if protocol != CVPR25:
        return clicks or _CLICKS
    if start not in CHALLENGE_STARTS:
        raise typer.BadParameter(f"cvpr25 starts with {' or '.join(CHALLENGE_STARTS)}.", param_hint="--start")
    return (clicks or CHALLENGE_CLICKS) + (start == BOX)


def _refuse_unknown_prompts(start: str, predictor: Predictor) -> None:
    from MemorizingSAM3DLib.learning.evaluation.first_prompts import REGIONS

    from ..engine.errors import PromptError

    if start in REGIONS and not predictor.knows_regions:
        raise PromptError(
            "This model knows points and scribbles alone.", "Choose --start point or scribble, or another --model."
        )


def _refuse_unknown(datasets: Sequence[str], entries: Sequence[Mapping[str, Any]], option: str) -> None:
    from MemorizingSAM3DLib.learning.data.manifest import DataError

    known = sorted({entry["dataset"] for entry in entries})
    for name in datasets:
        if name not in known:
            raise DataError(f"There is no dataset {name} here.", f"Check {option}. Known: {', '.join(known)}.")


def _prepare(folder: Path) -> None:
    from MemorizingSAM3DLib.engine.scans.outputs import check_folder

    from ..engine.errors import OutputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder '{folder}' cannot be made ({error.strerror}).", "Choose another one.") from error
    check_folder(folder)


def _baselines() -> tuple[Baseline, ...]:
    """All of them; those that need slicer-core live in the scene, which learning does not know."""
    from MemorizingSAM3DLib.learning.evaluation.baselines import classic_baselines
    from MemorizingSAM3DLib.scene.headless.grow_from_seeds import GrowFromSeeds

    tools = (GrowFromSeeds(), *classic_baselines())
    for tool in tools:
        tool.require()
    return tools


def _threads(workers: int) -> int | None:
    """Workers share the processor's cores."""
    import os

    return None if workers == 1 else max(1, (os.cpu_count() or 1) // workers)


def _announce(console: Console, checkpoint: Checkpoint, predictor: Predictor, memory: dict[str, Any] | None) -> None:
    name = checkpoint.entry.title if checkpoint.entry else checkpoint.path.name
    console.print(f"Model: {name} ({checkpoint.config.family}). Device: {predictor.runtime.description}.", markup=False)
    if predictor.runtime.warning:
        console.print(predictor.runtime.warning, style="yellow", markup=False)
    if memory is not None:
        attended = f"the last {memory['bank_size']} are used" if memory["heard"] else "not used, its decoder alone"
        console.print(f"Interaction memory: {memory['file']} ({memory['kinds']}), {attended}.", markup=False)


def _model_facts(checkpoint: Checkpoint, model: str | None) -> dict[str, Any]:
    return {
        "name": checkpoint.entry.name if checkpoint.entry else Path(model or checkpoint.path).name,
        "file": checkpoint.path.name,
        "sha256": checkpoint.sha256,
        "family": checkpoint.config.family,
        "parameters": sum(parameter.numel() for parameter in checkpoint.network.parameters()),
    }


def _environment(job: Job, predictor: Predictor, workers: int, seconds: float, resumed: int) -> dict[str, Any]:
    from datetime import datetime, timezone

    import torch

    from MemorizingSAM3DLib.learning.evaluation.report import versions

    from .. import __version__

    return {
        "device": predictor.runtime.description,
        "threads": job.model.threads or torch.get_num_threads(),
        "workers": workers,
        "program": __version__,
        "versions": versions(),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "resumed": resumed,
    }


def _report_failures(outcome: Outcome, console: Console) -> None:
    from rich.markup import escape

    for failure in outcome.failures[:_SHOWN_FAILURES]:
        where = failure.case if failure.label is None else f"{failure.case}, label {failure.label}"
        who = f" ({failure.contender})" if failure.contender else ""
        console.print(f"[yellow]Failed: {escape(where + who)}: {escape(failure.message)}[/yellow]", soft_wrap=True)
    hidden = len(outcome.failures) - _SHOWN_FAILURES
    if hidden > 0:
        console.print(f"[yellow]... and {hidden} more failures, listed in results.json.[/yellow]")


def _nothing_evaluated(outcome: Outcome, minimum_ml: float) -> Exception:
    from MemorizingSAM3DLib.learning.data.manifest import DataError

    if outcome.failures:
        return DataError(f"No case could be evaluated: {outcome.failures[0].message}", "See the other messages above.")
    return DataError(f"No case has a structure of at least {minimum_ml:g} ml.", "Lower --minimum-ml.")


def _show(console: Console, document: Mapping[str, Any]) -> None:
    from MemorizingSAM3DLib.learning.evaluation.challenge import challenge_table
    from MemorizingSAM3DLib.learning.evaluation.effort import effort_table

    shown = list(document["mean"]["dice"])

    def line(name: str, means: Mapping[str, Any]) -> None:
        scores = "".join(f"{means['dice'][n]:>8.3f}" for n in shown)
        nsd = f"{'-':>8}" if means["nsd"] is None else f"{means['nsd'][shown[-1]]:>8.3f}"
        time = means["later_click_ms"] if means["later_click_ms"] is not None else means["first_click_ms"]
        figures = f"{means['labels']:>7}{scores}{nsd}{'-' if time is None else f'{time:.0f}':>6}"
        console.print(f"{name:<26}{figures}", soft_wrap=True, markup=False)

    heads = "".join(f"{'Dice@' + n:>8}" for n in shown)
    console.print(f"{'dataset':<26}{'labels':>7}{heads}{'NSD@' + shown[-1]:>8}{'ms':>6}", soft_wrap=True)
    for name, means in document["datasets"].items():
        line(name, means)
    line("mean over datasets", document["mean"])
    if document["never_trained"] is not None:
        line("never trained on", document["never_trained"])
    for key, remark in (("baselines", ""), ("baselines_own_clicks", " (own)")):
        for about in document.get(key, {}).values():
            line(about["title"] + remark, about["mean"])
    console.print()
    _show_table(console, *effort_table(document))
    if "challenge" in document:
        console.print()
        _show_table(console, *challenge_table(document))


def _show_table(console: Console, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [
        max(26 if number == 0 else 0, *map(len, column))
        for number, column in enumerate(zip(header, *rows, strict=True))
    ]
    for row in (header, *rows):
        cells = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        console.print("  ".join((f"{row[0]:<{widths[0]}}", *cells)), soft_wrap=True, markup=False)
