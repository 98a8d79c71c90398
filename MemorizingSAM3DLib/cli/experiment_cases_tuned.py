"""``memorizing-sam3d experiment cases --table tuned``: the paper's comparison, a dataset at a time.

Memorizing SAM compares a model as it is and a model that was fine-tuned, each with and without a memory that the
fine-tuned one wrote. Here prompts and decoder are tuned and the encoder stays, so that one memory serves both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from .experiments import finished, note_done

if TYPE_CHECKING:
    from ..learning.case_arms import CaseArm
    from ..learning.mais_tables import Dice
    from .experiment_cases import Budget

Remember = Callable[[Path, "Budget"], Path]
Evaluate = Callable[[Path, "CaseArm", "Budget", Path], None]


def dice_of_tuned(out: Path, arms: list[CaseArm], budget: Budget, steps: int, remember: Remember, evaluate: Evaluate,
                  console: Console) -> dict[str, Dice]:  # fmt: skip
    """Dice of each arm by its title, over all datasets; tunes, remembers and evaluates what is not there yet.

    Args:
        arms: those that are called fine-tuned (:data:`..learning.case_arms.FINE_TUNED`) are of the tuned model.
        steps: of the tuning to each dataset. remember: fills a memory in a folder; gives it. evaluate: an arm.
    """
    from ..learning.case_arms import FINE_TUNED
    from ..learning.mais_tables import dice_of

    found: dict[str, Dice] = {arm.title: {} for arm in arms}
    for dataset in _datasets(budget):
        folder, own = out / "tuned" / dataset, replace(budget, datasets=dataset)
        tuned = replace(own, model=str(_tuned(folder, own, steps, console)))
        memory = remember(folder, tuned)
        for arm in arms:
            console.print(f"tuned: {dataset}, {arm.title}", style="bold", markup=False)
            is_tuned = arm.title.startswith(FINE_TUNED)
            place = folder / ("fine-tuned" if is_tuned else "as-it-is")
            evaluate(place, arm, tuned if is_tuned else own, memory)
            found[arm.title] |= dice_of(place / "evaluations" / arm.folder)
    return found


def _datasets(budget: Budget) -> list[str]:
    from ..learning.collection import Collection
    from ..learning.manifest import select

    chosen = [name.strip() for name in budget.datasets.split(",")] if budget.datasets else None
    entries = Collection.open(budget.manifest).entries
    splits = ({entry["dataset"] for entry in select(entries, split, chosen, not budget.include_nc)}
              for split in ("train", "val"))  # fmt: skip
    return sorted(set.intersection(*splits))


def _tuned(folder: Path, budget: Budget, steps: int, console: Console) -> Path:
    from ..engine.checkpoints import load, load_default
    from .train import train

    about = {"manifest": budget.manifest, "model": budget.model, "steps": steps, "seed": budget.seed}
    if not finished(folder / "training", about):
        console.print(f"tuned: {budget.datasets}, {steps} steps", style="bold", markup=False)
        start = (load(budget.model) if budget.model else load_default()).path
        train(folder / "training", manifest=budget.manifest, start=str(start), freeze_encoder=True, steps=steps,
              synthetic=0.0, datasets=budget.datasets, include_nc=budget.include_nc, seed=budget.seed,
              device=budget.device)  # fmt: skip
        note_done(folder / "training", about)
    return folder / "training" / "model.safetensors"
