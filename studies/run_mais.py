"""``python -m studies mais``: the interaction memory's experiments, from training to tables and curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from studies.budget import Budget, finished, note_done, numbers_of

if TYPE_CHECKING:
    from studies.mais import TrainingPlan, Variant

_TITLES = {
    "fractions": "With and without interaction memory, by how many cases were trained on",
    "bank-sizes": "Interaction memory: how many past interactions are used",
    "kinds": "Interaction memory: clicks (sparse), masks (dense), or both",
}


@dataclass(frozen=True)
class MaisBudget(Budget):
    """A budget with what is trained from, the clicks with a loss, the share of synthetic volumes, and the seed."""

    start: str
    window: int
    synthetic: float
    seed: int
    bare: bool
    stay: int


def mais(
    manifest: Annotated[Path, typer.Option(help="manifest.json beside the cases, or a training pack.")],
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the experiment. What is finished in it is not done again.")
    ],
    table: Annotated[
        list[str] | None, typer.Option(help="fractions, bank-sizes, kinds or cost. Can be repeated. Default: all.")
    ] = None,
    datasets: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    clicks: Annotated[
        str, typer.Option(help="Where Dice is told; the last one is how many are made.")
    ] = "1,10,20,50,150",
    fractions: Annotated[str, typer.Option(help="Cases of each dataset to train on.")] = "1,10%,50%,100%",
    bank_sizes: Annotated[str, typer.Option(help="How many interactions are used.")] = "10,20,40,60,80",
    train_each: Annotated[
        bool, typer.Option("--train-each", help="Train for every bank size, not the largest.")
    ] = False,
    cases: Annotated[str, typer.Option(help="To train on for bank-sizes and kinds.")] = "100%",
    start: Annotated[str, typer.Option("--from", help="A registered native model or its checkpoint.")] = "native-v4",
    newest_click: Annotated[
        bool, typer.Option("--newest-click", help="The network is given the newest click alone, not all so far.")
    ] = False,
    bare: Annotated[
        bool, typer.Option("--without-session", help="Evaluate the network alone, as the paper does, not the session.")
    ] = False,
    steps: Annotated[int, typer.Option(min=1, help="Of each training.")] = 400,
    batch: Annotated[int, typer.Option(min=1, help="Crops a step.")] = 1,
    window: Annotated[int, typer.Option(min=1, max=20, help="Clicks with a loss, a crop.")] = 4,
    stay: Annotated[
        int, typer.Option("--updates-per-batch", min=1, max=50, help="Steps in a row that go on with the same crops.")
    ] = 1,
    synthetic: Annotated[float, typer.Option(min=0, max=1, help="Share of synthetic volumes in trainings.")] = 0.0,
    val_cases: Annotated[str | None, typer.Option(help="To evaluate, of each dataset: 3, or 10%.")] = None,
    labels_per_case: Annotated[int | None, typer.Option(min=1, help="At most so many structures a case.")] = None,
    minimum_ml: Annotated[float, typer.Option(min=0, help="Smaller structures are left out.")] = 1.0,
    include_nc: Annotated[bool, typer.Option(help="Also datasets whose licence is not commercial.")] = True,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="auto, cuda or cpu.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of PyTorch.", show_default="its own")] = None,
    training_workers: Annotated[int, typer.Option(min=0, help="Processes that prepare crops.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes of an evaluation.")] = 1,
    minutes: Annotated[float | None, typer.Option(help="Of each call of a training; then the command ends.")] = None,
    cache: Annotated[Path | None, typer.Option(file_okay=False, help="Folder into which packs are expanded.")] = None,
) -> None:
    """Repeat MAIS's experiments: train, evaluate, and write a table (.md, .json) and a picture (.png) for each.

    With and without memory are trained alike: same cases, seeds, steps, lengths of sequences, and the decoder tuned
    from the first click on. All datasets are trained together and evaluated apart. Interrupted, the same command goes
    on; with other options a new --out is needed. The shipped network is given all clicks so far; --newest-click repeats
    what MAIS improved on, a network that forgets all clicks but the newest. A session holds what was clicked whatever
    the network says; with --without-session the network is alone, as in the paper.

    [bold]Examples[/bold]

    python -m studies mais --manifest data/manifest.json --datasets openkbp,acdc --out runs/mais

    python -m studies mais --manifest data/manifest.json --table kinds --steps 100 --val-cases 2 --out runs/k
    """
    from MemorizingSAM3DLib.learning.evaluation.report import require_matplotlib
    from studies.mais import BANK_SIZES, COST, TABLES, variants_of

    wanted = list(dict.fromkeys(table or TABLES))
    for name in wanted:
        if name not in TABLES:
            raise typer.BadParameter(f"{name} is none of {', '.join(TABLES)}.", param_hint="--table")
    shown, sizes = numbers_of(clicks, "--clicks", 150), numbers_of(bank_sizes, "--bank-sizes", 256)
    require_matplotlib()
    console = Console(highlight=False)
    if newest_click:
        start = str(_given_newest_click(start, out))
    budget = MaisBudget(
        manifest, datasets, include_nc, steps, batch, shown[-1], val_cases, labels_per_case, minimum_ml, device,
        threads, training_workers, workers, cache, start, min(window, shown[-1]), synthetic, seed, bare, stay,
    )  # fmt: skip
    for name in wanted:
        if name == COST:
            _cost(out, budget, console)
            continue
        variants = variants_of(name, [part.strip() for part in fractions.split(",")], sizes, cases, train_each)
        for variant in variants:
            console.print(f"{name}: {variant.title}", style="bold", markup=False)
            if not _trained(out, variant.training, budget, minutes):
                console.print("Time is up: the same command goes on from there.")
                return
            _evaluated(out, variant, budget)
        remarks = [_remark(budget)]
        if name == BANK_SIZES and not train_each:
            remarks.append(f"One training for N = {max(sizes)}; only so many of its memories are used.")
        _compare(out, name, variants, shown, remarks, seed, console)


def _given_newest_click(start: str, out: Path) -> Path:
    """The same network, given the newest click alone; in the experiment's folder."""
    from MemorizingSAM3DLib.cli.training_run import native_start
    from MemorizingSAM3DLib.engine.models.checkpoints import save_native

    path = out / "start-newest-click.safetensors"
    if not path.exists():
        network, origin = native_start(start)
        network.config = network.config.with_(click_history=False)
        out.mkdir(parents=True, exist_ok=True)
        save_native(network, path, {"from": origin}, "float32")
    return path


def _of_training(budget: MaisBudget) -> dict[str, Any]:
    names = ("manifest", "start", "datasets", "include_nc", "steps", "batch", "window", "synthetic", "seed")
    of_clicks = {"longest": max(2, budget.clicks), **({"bare": True} if budget.bare else {})}
    of_clicks |= {"stay": budget.stay} if budget.stay > 1 else {}
    return {name: getattr(budget, name) for name in names} | of_clicks


def _trained(out: Path, plan: TrainingPlan, budget: MaisBudget, minutes: float | None) -> bool:
    """Trains what is not trained yet; whether it is finished."""
    from MemorizingSAM3DLib.cli.train_memory import train_memory
    from MemorizingSAM3DLib.learning.training.trainer import STATE, read_state

    folder = out / "trainings" / plan.folder
    about = {**asdict(plan), **_of_training(budget)}
    if finished(folder, about):
        return True
    train_memory(
        folder, **_of_training(budget), cases=plan.cases, without_memory=plan.kinds is None,
        kinds=plan.kinds or "both", bank_size=plan.capacity, from_first_click=True, device=budget.device,
        workers=budget.training_workers, threads=budget.threads, minutes=minutes, cache=budget.cache,
    )  # fmt: skip
    if read_state(folder)["step"] < budget.steps:
        return False
    note_done(folder, about)
    (folder / STATE).unlink()  # 150 MB, of no use any more
    return True


def _evaluated(out: Path, variant: Variant, budget: MaisBudget) -> None:
    from MemorizingSAM3DLib.cli.evaluate import evaluate

    folder = out / "evaluations" / variant.folder
    names = ("manifest", "start", "datasets", "include_nc", "clicks", "val_cases", "labels_per_case", "minimum_ml")
    about = {**{name: getattr(budget, name) for name in names}, "arm": variant.folder, "seed": budget.seed}
    about |= {"bare": True} if budget.bare else {}
    if finished(folder, about):
        return
    trained = out / "trainings" / variant.training.folder
    without = variant.training.kinds is None
    evaluate(
        manifest=budget.manifest, out=folder, datasets=budget.datasets, labels_per_case=budget.labels_per_case,
        clicks=budget.clicks, seed=budget.seed, model=str(trained / "model.safetensors") if without else budget.start,
        interaction_memory="off" if without else str(trained / "interaction_memory.safetensors"),
        bank_size=variant.attended, cases=budget.val_cases, minimum_ml=budget.minimum_ml, workers=budget.workers,
        device=budget.device, include_nc=budget.include_nc, bare=budget.bare,
    )  # fmt: skip
    note_done(folder, about)


def _remark(budget: MaisBudget) -> str:
    return (
        f"Both are trained from {Path(budget.start).name} for {budget.steps} steps of {budget.batch} crops (windows of "
        f"{budget.window} clicks, sequences of up to {budget.clicks}), then clicked {budget.clicks} times by the "
        f"evaluation's rule{', by the network alone on a crop around the structure' if budget.bare else ''}. "
        "In brackets 95 % intervals, cases resampled."
    )


def _compare(
    out: Path,
    name: str,
    variants: Sequence[Variant],
    clicks: Sequence[int],
    remarks: Sequence[str],
    seed: int,
    console: Console,
) -> None:
    from studies.mais import compared, dice_of, write_comparison

    found = compared(
        variants, {variant.title: dice_of(out / "evaluations" / variant.folder) for variant in variants}, clicks, seed
    )
    files = write_comparison(out, name, _TITLES[name], variants, found, remarks)
    console.print((out / f"{name}.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)
    console.print("Wrote " + ", ".join(file.name for file in files) + f" to {out}.", markup=False, soft_wrap=True)


def _cost(out: Path, budget: MaisBudget, console: Console) -> None:
    """Measures time and memory with and without memory, and writes cost.json, cost.md and cost.png."""
    import os

    from MemorizingSAM3DLib.learning.evaluation.report import replacing
    from studies.interaction_cost import cost_of
    from studies.mais import write_costs

    threads = budget.threads or os.cpu_count() or 1
    sizes = (60,)
    measured = []
    folder = out / "costs"
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "click"):
        for memory in (False, True):
            path = folder / f"{part}-{'with' if memory else 'without'}.json"
            about = {"part": part, "memory": memory, "model": budget.start, "device": budget.device,
                     "threads": threads, "clicks": budget.clicks, "bank_size": sizes[0]}  # fmt: skip
            if not path.exists() or json.loads(path.read_text(encoding="utf-8"))["about"] != about:
                console.print(f"[bold]cost: {part}, {'with' if memory else 'without'} memory[/bold]")
                found = cost_of(**about)  # type: ignore[arg-type]
                with replacing(path) as partial:
                    partial.write_text(json.dumps({"about": about, "found": found}, indent=1), encoding="utf-8")
            measured.append(json.loads(path.read_text(encoding="utf-8")))
    write_costs(out, measured)
    console.print((out / "cost.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)
