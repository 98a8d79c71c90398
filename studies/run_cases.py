"""``python -m studies cases``: what remembered cases give, by how many there are and how they are used.

``python -m studies cases --table tuned``: the paper's comparison, a dataset at a time.

Memorizing SAM compares a model as it is and a model that was fine-tuned, each with and without a memory that the
fine-tuned one wrote. Here prompts and decoder are tuned and the encoder stays, so that one memory serves both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from MemorizingSAM3DLib.cli.options import layers_of
from studies.budget import finished, note_done, numbers_of

if TYPE_CHECKING:
    from studies.cases import CaseVariant
    from studies.mais import Dice

_TITLES = {
    "growth": "Dice against the number of remembered cases",
    "absent": "A case memory without the clicked structure",
    "attention": "Attention to remembered cases (Memorizing SAM)",
    "tuned": "A model as it is and fine-tuned, each with and without remembered cases",
}


@dataclass(frozen=True)
class Budget:
    """What all parts of an experiment have in common; as the options of the command are called."""

    manifest: Path
    model: str | None
    datasets: str | None
    include_nc: bool
    clicks: int
    val_cases: str | None
    labels_per_case: int | None
    minimum_ml: float
    layers: tuple[int, ...]
    seed: int
    device: str
    workers: int


def cases_experiment(
    manifest: Annotated[Path, typer.Option(help="manifest.json beside the cases, or a training pack.")],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the experiment. What is finished in it is not done again.")
    ],
    table: Annotated[
        list[str] | None,
        typer.Option(help="growth, absent, attention, tuned, proposed or overhead. Can be repeated. Default: all."),
    ] = None,
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    clicks: Annotated[str, typer.Option(help="Where Dice is told; the last one is how many are made.")] = "1,3,5,10",
    sizes: Annotated[str, typer.Option(help="Training cases of each dataset that are remembered.")] = "1,3,10,30",
    known: Annotated[
        bool, typer.Option("--structure-known", help="growth: also ask only cases named like what is clicked.")
    ] = False,
    neighbours: Annotated[str, typer.Option(help="attention: cases that are used.")] = "1,3,5,10",
    ratios: Annotated[str, typer.Option(help="attention: local ratios, 0 to 1.")] = "0,0.3,0.5,0.7,0.9,1",
    attention_layers: Annotated[str, typer.Option(help="attention: encoder blocks, each tried alone.")] = "4",
    tuning_steps: Annotated[int, typer.Option(min=1, help="tuned: to each dataset.")] = 200,
    repeats: Annotated[int, typer.Option(min=1, help="overhead: timed runs.")] = 20,
    model: Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")] = None,
    val_cases: Annotated[str | None, typer.Option(help="To evaluate, of each dataset: 3, or 10%.")] = None,
    labels_per_case: Annotated[int | None, typer.Option(min=1, help="At most so many structures a case.")] = None,
    minimum_ml: Annotated[float, typer.Option(min=0, help="Smaller structures are left out.")] = 1.0,
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = True,
    seed: Annotated[int, typer.Option(help="For the choice of cases and the bootstrap.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Processes; each loads the model.")] = 1,
) -> None:
    """Measure the case memory: tables (.md, .csv, .json) and pictures (.png). Memories hold training cases alone.

    growth: Dice by how many cases are remembered. absent: with a memory that lacks the clicked structure. attention:
    the paper's ablations, by neighbours, local ratio, block and memory size. tuned: the paper's comparison, for each
    dataset the model as it is and fine-tuned to it (its encoder kept), each with and without a memory of that dataset.
    proposed: segments without a click. overhead: times. Every gain is measured against the same clicks without memory,
    with a bootstrap interval. Interrupted, the same command goes on.

    [bold]Examples[/bold]

    python -m studies cases --manifest data/manifest.json --datasets openkbp --table growth --out runs/cases

    python -m studies cases --manifest data/manifest.json --val-cases 2 --sizes 1,3 --out runs/small
    """
    from MemorizingSAM3DLib.learning.evaluation.report import require_matplotlib
    from studies.cases import GROWTH, OVERHEAD, PROPOSED, TABLES, TUNED, Ablations, variants_of
    from studies.mais import dice_of

    wanted = list(dict.fromkeys(table or TABLES))
    for name in wanted:
        if name not in TABLES:
            raise typer.BadParameter(f"{name} is none of {', '.join(TABLES)}.", param_hint="--table")
    shown, blocks = numbers_of(clicks, "--clicks", 150), layers_of(attention_layers)
    if not blocks:
        raise typer.BadParameter("At least one block is tried.", param_hint="--attention-layers")
    attended, counts = numbers_of(neighbours, "--neighbours", 100), numbers_of(sizes, "--sizes", 10_000)
    tried = Ablations(counts, blocks, attended, _ratios(ratios), known)
    require_matplotlib()
    console = Console(highlight=False)
    budget = Budget(manifest, model, datasets, include_nc, shown[-1], val_cases, labels_per_case, minimum_ml, blocks,
                    seed, device, workers)  # fmt: skip
    for name in wanted:
        if name == OVERHEAD:
            _overhead(out, budget, repeats, console)
            continue
        if name == PROPOSED:
            _proposed(out, budget, tried.sizes, console)
            continue
        variants = variants_of(name, tried)
        if name == TUNED:
            found = _tuned(out, variants, budget, tried.sizes, tuning_steps, console)
            _compare(out, name, variants, shown, budget, found, console)
            continue
        for variant in variants:
            console.print(f"{name}: {variant.title}", style="bold", markup=False)
            memory = _memory(out, variant.remembered, budget, tried.sizes, console) if variant.remembered else None
            _evaluated(out, variant, budget, memory)
        found = {variant.title: dice_of(out / "evaluations" / variant.folder) for variant in variants}
        _compare(out, name, variants, shown if name != GROWTH else shown[:1], budget, found, console)


def _ratios(text: str) -> tuple[float, ...]:
    try:
        found = sorted({float(part) for part in text.split(",")})
    except ValueError:
        found = [-1.0]
    if not all(0 <= ratio <= 1 for ratio in found):
        raise typer.BadParameter(f"{text} are no ratios of 0 to 1, separated by commas.", param_hint="--ratios")
    return tuple(found)


def _memory(out: Path, size: int, budget: Budget, sizes: Sequence[int], console: Console) -> Path:
    """A memory of so many training cases of each dataset: that of the next smaller size, and those that it lacks."""
    from rich.progress import Progress

    from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
    from MemorizingSAM3DLib.engine.models.download import cache_folder
    from MemorizingSAM3DLib.learning.case_memory import BuildJob, BuildProgress, build
    from MemorizingSAM3DLib.learning.data.manifest import DataError, select, some_of_each_dataset
    from MemorizingSAM3DLib.learning.data.pack import Collection
    from MemorizingSAM3DLib.learning.evaluation.memory_options import OFF, MemoryChoice
    from MemorizingSAM3DLib.learning.evaluation.run import CaseSource, ModelSource

    folder, place = out / "memories" / f"n-{size}", out / "memories" / f"n-{size}-about"
    names = ("manifest", "model", "datasets", "include_nc", "minimum_ml", "layers", "seed")
    about = {**{name: getattr(budget, name) for name in names}, "size": size}
    if finished(place, about):
        return folder
    place.mkdir(parents=True, exist_ok=True)
    smaller = max((other for other in sizes if other < size), default=0)
    collection = Collection.open(budget.manifest)
    chosen = [name.strip() for name in budget.datasets.split(",")] if budget.datasets else None
    entries = select(collection.entries, "train", chosen, not budget.include_nc)
    known: set[str] = set()
    if smaller:
        fewer = CaseMemory.open(_memory(out, smaller, budget, sizes, console))
        CaseMemory.open_or_create(folder, fewer.layout, fewer.encoder).merge(fewer)
        known = {entry["id"] for entry in some_of_each_dataset(entries, str(smaller), budget.seed)}
    missing = [e for e in some_of_each_dataset(entries, str(size), budget.seed) if e["id"] not in known]
    model = ModelSource(budget.model, budget.device, None if budget.workers == 1 else 1, MemoryChoice(OFF))
    source = CaseSource(collection, cache_folder() / "packs")
    job = BuildJob(model, folder, source, budget.minimum_ml, None, budget.layers)
    progress = BuildProgress(folder)
    missing = progress.missing(missing)
    with Progress(console=console) as bar:
        for done in bar.track(build(job, missing, budget.workers), len(missing), description=f"n = {size}"):
            if done.failure is not None:
                raise DataError(f"{done.entry} cannot be remembered: {done.failure}", "Take it out of the manifest.")
            progress.note(done.entry)
    progress.finish()
    if not folder.exists():
        raise DataError("There is no training case to remember.", "Check --datasets.")
    note_done(place, about)
    return folder


def _tuned(out: Path, variants: list[CaseVariant], budget: Budget, sizes: Sequence[int], steps: int,
           console: Console) -> dict[str, Dice]:  # fmt: skip

    most = max(sizes)
    return dice_of_tuned(
        out, variants, budget, steps,
        lambda folder, own: _memory(folder, most, own, (most,), console),
        lambda place, variant, own, memory: _evaluated(place, variant, own, memory if variant.remembered else None),
        console,
    )  # fmt: skip


def _evaluated(out: Path, variant: CaseVariant, budget: Budget, memory: Path | None) -> None:
    from MemorizingSAM3DLib.cli.evaluate import evaluate

    folder, attends = out / "evaluations" / variant.folder, variant.block is not None
    about = {**asdict(budget), **{k: v for k, v in asdict(variant).items() if k not in ("title", "against")}}
    for only_elsewhere in ("workers", "layers"):
        del about[only_elsewhere]
    if finished(folder, about):
        return
    evaluate(
        manifest=budget.manifest, out=folder, datasets=budget.datasets, labels_per_case=budget.labels_per_case,
        clicks=budget.clicks, seed=budget.seed, model=budget.model, interaction_memory="off", case_memory=memory,
        neighbours=variant.neighbours if attends else None, structure_known=variant.names == "known",
        structure_absent=variant.names == "absent", attention_layers=str(variant.block) if attends else None,
        local_ratio=variant.ratio, attention_only=attends, cases=budget.val_cases, minimum_ml=budget.minimum_ml,
        workers=budget.workers, device=budget.device, include_nc=budget.include_nc,
    )  # fmt: skip
    note_done(folder, about)


def _compare(
    out: Path,
    name: str,
    variants: list[CaseVariant],
    clicks: list[int],
    budget: Budget,
    dice: dict[str, Dice],
    console: Console,
) -> None:
    from studies.cases import GROWTH, draw_growth, write_csv
    from studies.mais import compared, write_comparison

    remarks = [
        f"Model {budget.model or 'shipped'}, training cases remembered, validation cases clicked by the evaluation's "
        "rule; n: remembered cases of each dataset, as far as there are so many. A gain is that over the same clicks "
        "without memory. In brackets 95 % intervals, cases resampled."
    ]
    found = compared(variants, dice, clicks, budget.seed)
    files = write_comparison(out, name, _TITLES[name], variants, found, remarks)
    write_csv(out / f"{name}.csv", variants, found)
    if name == GROWTH:
        draw_growth(out / f"{name}.png", _TITLES[name], variants, found)
    console.print((out / f"{name}.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)
    console.print(
        "Wrote " + ", ".join(file.name for file in files) + f" and {name}.csv to {out}.", markup=False, soft_wrap=True
    )


def _proposed(out: Path, budget: Budget, sizes: Any, console: Console) -> None:
    from rich.progress import Progress

    from MemorizingSAM3DLib.cli.options import load_predictor
    from MemorizingSAM3DLib.engine.models.download import cache_folder
    from MemorizingSAM3DLib.engine.session.remember_case import open_case_retrieval
    from MemorizingSAM3DLib.learning.data.manifest import select, some_of_each_dataset
    from MemorizingSAM3DLib.learning.data.pack import Collection
    from MemorizingSAM3DLib.learning.evaluation.evaluate import EvaluationOptions, evaluated_labels
    from studies.proposals import ProposedStructure, proposed_structures, write_proposals

    folder, size = out / "proposed", max(sizes)
    unused = ("workers", "layers", "clicks")
    about = {k: v for k, v in asdict(budget).items() if k not in unused} | {"size": size}
    if not finished(folder, about):
        memory = _memory(out, size, budget, sizes, console)
        predictor = load_predictor(budget.model, budget.device, console)
        predictor.case_retrieval = open_case_retrieval(memory, predictor.network)
        collection = Collection.open(budget.manifest)
        chosen = [name.strip() for name in budget.datasets.split(",")] if budget.datasets else None
        entries = select(collection.entries, "val", chosen, not budget.include_nc)
        entries = some_of_each_dataset(entries, budget.val_cases, budget.seed)
        options = EvaluationOptions(
            labels_per_case=budget.labels_per_case, minimum_ml=budget.minimum_ml, seed=budget.seed
        )
        rows: list[ProposedStructure] = []
        with Progress(console=console) as bar:
            for number, entry in enumerate(bar.track(entries, description="Proposing")):
                (case,) = collection.load([entry], cache_folder() / "packs")
                rows += proposed_structures(predictor, case, evaluated_labels(case, number + 1, options))
        folder.mkdir(parents=True, exist_ok=True)
        found = {"device": predictor.runtime.description, "rows": [asdict(row) for row in rows]}
        (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")
        note_done(folder, about)
    found = json.loads((folder / "found.json").read_text(encoding="utf-8"))
    write_proposals(out, size, found["device"], [ProposedStructure(**row) for row in found["rows"]], budget.seed)
    console.print((out / "proposed.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)


def _overhead(out: Path, budget: Budget, repeats: int, console: Console) -> None:
    from MemorizingSAM3DLib.benchmarks.parts.memories import measure_case_memory
    from MemorizingSAM3DLib.cli.options import load_predictor
    from studies.cases import write_case_costs

    folder = out / "overhead"
    about = {"model": budget.model, "device": budget.device, "blocks": budget.layers[:1], "repeats": repeats}
    if not finished(folder, about):
        predictor = load_predictor(budget.model, budget.device, console)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure_case_memory(predictor, budget.layers[:1], repeats=repeats)
        found["device"] = predictor.runtime.description
        (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")
        note_done(folder, about)
    write_case_costs(out, json.loads((folder / "found.json").read_text(encoding="utf-8")))
    console.print((out / "overhead.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)


Remember = Callable[[Path, "Budget"], Path]
Evaluate = Callable[[Path, "CaseVariant", "Budget", Path], None]


def dice_of_tuned(
    out: Path,
    variants: list[CaseVariant],
    budget: Budget,
    steps: int,
    remember: Remember,
    evaluate: Evaluate,
    console: Console,
) -> dict[str, Dice]:
    """Dice of each arm by its title, over all datasets; tunes, remembers and evaluates what is not there yet.

    Args:
        variants: those that are called fine-tuned (:data:`..learning.case_arms.FINE_TUNED`) are of the tuned model.
        steps: of the tuning to each dataset. remember: fills a memory in a folder; gives it. evaluate: an arm.
    """
    from studies.cases import FINE_TUNED
    from studies.mais import dice_of

    found: dict[str, Dice] = {variant.title: {} for variant in variants}
    for dataset in _datasets(budget):
        folder, own = out / "tuned" / dataset, replace(budget, datasets=dataset)
        tuned = replace(own, model=str(_tuned_row(folder, own, steps, console)))
        memory = remember(folder, tuned)
        for variant in variants:
            console.print(f"tuned: {dataset}, {variant.title}", style="bold", markup=False)
            is_tuned = variant.title.startswith(FINE_TUNED)
            place = folder / ("fine-tuned" if is_tuned else "as-it-is")
            evaluate(place, variant, tuned if is_tuned else own, memory)
            found[variant.title] |= dice_of(place / "evaluations" / variant.folder)
    return found


def _datasets(budget: Budget) -> list[str]:
    from MemorizingSAM3DLib.learning.data.manifest import select
    from MemorizingSAM3DLib.learning.data.pack import Collection

    chosen = [name.strip() for name in budget.datasets.split(",")] if budget.datasets else None
    entries = Collection.open(budget.manifest).entries
    splits = ({entry["dataset"] for entry in select(entries, split, chosen, not budget.include_nc)}
              for split in ("train", "val"))  # fmt: skip
    return sorted(set.intersection(*splits))


def _tuned_row(folder: Path, budget: Budget, steps: int, console: Console) -> Path:
    from MemorizingSAM3DLib.cli.train import train
    from MemorizingSAM3DLib.engine.models.checkpoints import load, load_default

    about = {"manifest": budget.manifest, "model": budget.model, "steps": steps, "seed": budget.seed}
    if not finished(folder / "training", about):
        console.print(f"tuned: {budget.datasets}, {steps} steps", style="bold", markup=False)
        start = (load(budget.model) if budget.model else load_default()).path
        train(folder / "training", manifest=budget.manifest, start=str(start), freeze_encoder=True, steps=steps,
              synthetic=0.0, datasets=budget.datasets, include_nc=budget.include_nc, seed=budget.seed,
              device=budget.device)  # fmt: skip
        note_done(folder / "training", about)
    return folder / "training" / "model.safetensors"
