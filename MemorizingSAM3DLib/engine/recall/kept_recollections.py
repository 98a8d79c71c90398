"""What a case memory said of clicks, kept for as long as their scan is: memories change, finished segments do not."""

from __future__ import annotations

from collections.abc import Callable

from ..geometry import CropGrid
from ..prompts import Click, Prompts
from .case_recall import Recollection
from .structure_shape import StructureShape

Recollect = Callable[[CropGrid, Click], Recollection | None]


class KeptRecollections:
    """Asks a memory about the newest click of any prompts once, and gives the same answer ever after.

    A shape that several answers have in common is kept once: an answer takes some hundred bytes.
    """

    def __init__(self) -> None:
        self._answers: dict[Prompts, Recollection | None] = {}
        self._shapes: dict[str, StructureShape] = {}

    def of(self, prompts: Prompts, ask: Recollect, grid: CropGrid, click: Click) -> Recollection | None:
        """What the memory said of the newest click.

        Args:
            prompts: up to that click. A memory that this click was made without is not asked.
            ask: asks the memory as it is now.
        """
        if prompts.listening[-1].cases is None:
            return None
        if prompts not in self._answers:
            answer = ask(grid, click)
            self._answers[prompts] = None if answer is None else self._without_the_memory(answer)
        return self._answers[prompts]

    def _without_the_memory(self, answer: Recollection) -> Recollection:
        """The answer with shapes of its own: a memory's are parts of arrays that hold all of its cases."""
        shapes = []
        for case, (shape, centre, weight) in zip(answer.ids, answer.shapes, strict=True):
            if case not in self._shapes:
                self._shapes[case] = StructureShape(shape.occupancy.copy(), shape.cell, shape.anchors.copy())
            shapes.append((self._shapes[case], centre, weight))
        return answer._replace(shapes=tuple(shapes))
