"""``python -m studies model``: the model's ablations on equal budgets, from training to tables and curves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from studies.budget import Budget, finished, note_done, numbers_of

if TYPE_CHECKING:
    from studies.model import ModelPlan, ModelVariant

_LAYER_SHARE = 1 / 3  # of a distillation's steps


@dataclass(frozen=True)
class ModelBudget(Budget):
    """A budget with the learning rate's peak, and what is changed of all networks."""

    learning_rate: float
    changes: tuple[str, ...]


def model_experiment(
    manifest: Annotated[Path, typer.Option(help="manifest.json beside the cases, or a training pack.")],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the experiment. What is finished in it is not done again.")
    ],
    table: Annotated[
        list[str] | None,
        typer.Option(help="stem, attention, synthetic, tokens or distilled. Can be repeated. Default: all."),
    ] = None,
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    clicks: Annotated[str, typer.Option(help="Where Dice is told; the last one is how many are made.")] = "1,3,5,10",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each kind, with seeds 0, 1, ...")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Of each training.")] = 600,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 2,
    learning_rate: Annotated[float, typer.Option(help="Peak of the cosine.")] = 5e-4,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change all networks: width=192. Can be repeated.")
    ] = None,
    val_cases: Annotated[str | None, typer.Option(help="To evaluate, of each dataset: 3, or 10%.")] = None,
    labels_per_case: Annotated[int | None, typer.Option(min=1, help="At most so many structures a case.")] = 1,
    minimum_ml: Annotated[float, typer.Option(min=0, help="Smaller structures are left out.")] = 1.0,
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = False,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch.", show_default="its own")] = None,
    training_workers: Annotated[int, typer.Option(min=0, help="Processes that prepare crops.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes of an evaluation.")] = 1,
    minutes: Annotated[float | None, typer.Option(help="Of each call of a training; then the command ends.")] = None,
    cache: Annotated[Path | None, typer.Option(file_okay=False, help="Folder into which packs are expanded.")] = None,
) -> None:
    """Train networks from scratch that differ in one thing, and write a table (.md, .json) and a picture (.png) each.

    All have the same steps, crops a step, seeds and validation cases. A distilled network has as many steps as one that
    is trained directly; its teacher, of 12 blocks, has as many again. Interrupted, the same command goes on.

    [bold]Examples[/bold]

    python -m studies model --manifest data/manifest.json --seeds 3 --out runs/ablations

    python -m studies model --manifest data/manifest.json --table stem --steps 200 --val-cases 2 --out runs/s
    """
    from MemorizingSAM3DLib.learning.evaluation.report import require_matplotlib
    from studies.model import TABLES, model_variants

    wanted = list(dict.fromkeys(table or TABLES))
    for name in wanted:
        if name not in TABLES:
            raise typer.BadParameter(f"{name} is none of {', '.join(TABLES)}.", param_hint="--table")
    shown = numbers_of(clicks, "--clicks", 150)
    require_matplotlib()
    console = Console(highlight=False)
    budget = ModelBudget(
        manifest, datasets, include_nc, steps, batch, shown[-1], val_cases, labels_per_case, minimum_ml, device,
        threads, training_workers, workers, cache, learning_rate, tuple(changes or ()),
    )  # fmt: skip
    for name in wanted:
        variants = model_variants(name)
        for variant in variants:
            for seed in range(seeds):
                console.print(f"{name}: {variant.title}, seed {seed}", style="bold", markup=False)
                if not _trained(out, variant.training, seed, budget, minutes):
                    console.print("Time is up: the same command goes on from there.")
                    return
                _evaluated(out, variant.training, seed, budget)
        _compare(out, name, variants, seeds, shown, budget, console)


def _trained(out: Path, plan: ModelPlan, seed: int, budget: ModelBudget, minutes: float | None) -> bool:
    """Trains what is not trained yet, teachers before their students; whether it is finished."""
    from MemorizingSAM3DLib.cli.distill import distill
    from MemorizingSAM3DLib.cli.train import train
    from MemorizingSAM3DLib.learning.training.trainer import STATE, read_state

    if plan.teacher is not None and not _trained(out, plan.teacher, seed, budget, minutes):
        return False
    folder = out / "trainings" / plan.folder(seed)
    names = ("manifest", "datasets", "include_nc", "steps", "batch", "learning_rate", "changes")
    about = {**asdict(plan), **{name: getattr(budget, name) for name in names}, "seed": seed}
    if finished(folder, about):
        return True
    common: dict[str, Any] = {
        "manifest": budget.manifest, "datasets": budget.datasets, "include_nc": budget.include_nc,
        "batch": budget.batch, "learning_rate": budget.learning_rate, "synthetic": plan.synthetic, "seed": seed,
        "device": budget.device, "workers": budget.training_workers, "threads": budget.threads, "minutes": minutes,
        "cache": budget.cache,
    }  # fmt: skip
    if plan.teacher is None:
        train(folder, steps=budget.steps, changes=[*budget.changes, *plan.changes], token_loss=plan.token_loss,
              **common)  # fmt: skip
    else:
        layer_steps = max(1, round(budget.steps * _LAYER_SHARE))
        teacher = out / "trainings" / plan.teacher.folder(seed) / "model.safetensors"
        distill(str(teacher), folder, layer_steps=layer_steps, logit_steps=budget.steps - layer_steps, **common)
    if read_state(folder)["step"] < budget.steps:
        return False
    note_done(folder, about)
    (folder / STATE).unlink()  # 150 MB, of no use any more
    return True


def _evaluated(out: Path, plan: ModelPlan, seed: int, budget: ModelBudget) -> None:
    from MemorizingSAM3DLib.cli.evaluate import evaluate

    folder = out / "evaluations" / plan.folder(seed)
    names = ("manifest", "datasets", "include_nc", "clicks", "val_cases", "labels_per_case", "minimum_ml")
    about = {name: getattr(budget, name) for name in names}
    if finished(folder, about):
        return
    model = out / "trainings" / plan.folder(seed) / "model.safetensors"
    evaluate(
        manifest=budget.manifest, out=folder, datasets=budget.datasets, labels_per_case=budget.labels_per_case,
        clicks=budget.clicks, seed=0, model=str(model), interaction_memory="off", cases=budget.val_cases,
        minimum_ml=budget.minimum_ml, workers=budget.workers, device=budget.device, include_nc=budget.include_nc,
    )  # fmt: skip
    note_done(folder, about)


def _compare(out: Path, name: str, variants: list[ModelVariant], seeds: int, clicks: list[int], budget: ModelBudget,
             console: Console) -> None:  # fmt: skip
    from studies.mais import compared, dice_of, write_comparison
    from studies.model import TITLES, mean_over_seeds, spread_over_seeds

    dice = {
        variant.title: [dice_of(out / "evaluations" / variant.training.folder(seed)) for seed in range(seeds)]
        for variant in variants
    }
    found = compared(variants, {title: mean_over_seeds(of_seeds) for title, of_seeds in dice.items()}, clicks)
    remarks = [
        f"From scratch, {budget.steps} steps of {budget.batch} crops, {seeds} seed{'s' if seeds > 1 else ''}; Dice is "
        "the mean over seeds. In brackets 95 % intervals, cases resampled.",
        *(_cost_of(out, variant, seeds) for variant in variants),
    ]
    spread = spread_over_seeds(dice, clicks[-1])
    if not any(math.isnan(value) for value in spread.values()):
        told = ", ".join(f"{title} {value:.3f}" for title, value in spread.items())
        remarks.append(f"Standard deviation over seeds, after {clicks[-1]} clicks: {told}.")
    files = write_comparison(out, name, TITLES[name], variants, found, remarks)
    console.print((out / f"{name}.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)
    console.print("Wrote " + ", ".join(file.name for file in files) + f" to {out}.", markup=False, soft_wrap=True)


def _cost_of(out: Path, variant: ModelVariant, seeds: int) -> str:
    """The time that its trainings took, from their logs."""
    import csv

    seconds, steps = 0.0, 0
    for seed in range(seeds):
        path = out / "trainings" / variant.training.folder(seed) / "log.csv"
        with path.open(encoding="utf-8", newline="") as file:
            last = list(csv.DictReader(file))[-1]
        seconds, steps = seconds + float(last["seconds"]), steps + int(last["step"])
    own = f"{variant.title}: {seconds / steps:.2f} s a step"
    if variant.training.teacher is None:
        return f"{own}."
    of_teacher = _cost_of(out, replace(variant, title="The teacher", training=variant.training.teacher), seeds)
    return f"{own}, its teacher apart. {of_teacher}"
