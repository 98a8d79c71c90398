"""The options by which commands are told of a case memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ..learning.case_memory_choice import CaseMemoryChoice, Names


def layers_of(text: str | None) -> tuple[int, ...]:
    """``2,4`` as numbers of encoder blocks, each once; none of None.

    Raises:
        typer.BadParameter: they are no numbers.
    """
    try:
        layers = sorted({int(part) for part in text.split(",")}) if text else []
    except ValueError:
        layers = [-1]
    if layers and layers[0] < 0:
        raise typer.BadParameter(
            f"{text} are no numbers of blocks, separated by commas.", param_hint="--attention-layers"
        )
    return tuple(layers)


def chosen_cases(case_memory: Path | None, neighbours: int | None, known: bool, absent: bool,
                 attention_layers: str | None, local_ratio: float,
                 attention_only: bool) -> CaseMemoryChoice | None:  # fmt: skip
    """What the options of ``evaluate`` choose; None: no remembered cases.

    Raises:
        typer.BadParameter: they contradict one another.
    """
    from ..learning.case_memory_choice import CaseMemoryChoice

    if known and absent:
        raise typer.BadParameter("A structure is known or absent.", param_hint="--structure-absent")
    if attention_only and not attention_layers:
        raise typer.BadParameter("It needs --attention-layers.", param_hint="--attention-only")
    layers = layers_of(attention_layers)
    if case_memory is None:
        if neighbours or known or absent or layers:
            raise typer.BadParameter("Other options need it.", param_hint="--case-memory")
        return None
    names: Names = "known" if known else "absent" if absent else "all"
    return CaseMemoryChoice(case_memory, neighbours, not attention_only, names, layers, local_ratio)
