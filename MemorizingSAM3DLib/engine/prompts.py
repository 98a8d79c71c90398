"""What the user points at, and every state that the prompts have been in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Click:
    """A point of the scan that belongs to the object (positive) or does not (negative).

    Args:
        ras: world RAS in mm.
        positive: whether the object is there.
    """

    ras: tuple[float, float, float]
    positive: bool = True


@dataclass(frozen=True)
class Prompts:
    """All that a mask follows from: a starting mask (by its number in the session; 0 is empty) and clicks in order."""

    start: int = 0
    clicks: tuple[Click, ...] = ()


@dataclass(frozen=True)
class PromptHistory:
    """An immutable history of prompts: undo and redo move an index, an edit forgets what had been undone.

    Attributes:
        states: every state so far, oldest first. position: the current one.
    """

    states: tuple[Prompts, ...] = field(default=(Prompts(),))
    position: int = 0

    @property
    def current(self) -> Prompts:
        """The prompts as they stand."""
        return self.states[self.position]

    @property
    def can_undo(self) -> bool:
        """Whether an earlier state exists."""
        return self.position > 0

    @property
    def can_redo(self) -> bool:
        """Whether an undone state exists."""
        return self.position + 1 < len(self.states)

    def edited(self, prompts: Prompts) -> PromptHistory:
        """The history after an edit."""
        return PromptHistory((*self.states[: self.position + 1], prompts), self.position + 1)

    def with_click(self, click: Click) -> PromptHistory:
        """One more click at the end."""
        return self.edited(replace(self.current, clicks=(*self.current.clicks, click)))

    def with_changed_click(self, number: int, click: Click) -> PromptHistory:
        """Click ``number`` replaced (dragged, or turned from positive to negative)."""
        self._check(number)
        clicks = self.current.clicks
        return self.edited(replace(self.current, clicks=(*clicks[:number], click, *clicks[number + 1 :])))

    def without_click(self, number: int) -> PromptHistory:
        """Click ``number`` removed."""
        self._check(number)
        clicks = self.current.clicks
        return self.edited(replace(self.current, clicks=(*clicks[:number], *clicks[number + 1 :])))

    def undone(self) -> PromptHistory:
        """One step back; the same history when there is none."""
        return replace(self, position=self.position - 1) if self.can_undo else self

    def redone(self) -> PromptHistory:
        """One step forward; the same history when there is none."""
        return replace(self, position=self.position + 1) if self.can_redo else self

    def _check(self, number: int) -> None:
        if not 0 <= number < len(self.current.clicks):
            raise IndexError(f"There is no click {number}: there are {len(self.current.clicks)}.")
