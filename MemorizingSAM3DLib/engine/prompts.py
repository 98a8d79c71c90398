"""What the user points at, and every state that the prompts have been in."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import NamedTuple


@dataclass(frozen=True)
class Click:
    """A point of the scan that belongs to the object (positive) or does not (negative).

    Args:
        ras: world RAS in mm.
        positive: whether the object is there.
    """

    ras: tuple[float, float, float]
    positive: bool = True


class Listening(NamedTuple):
    """Which memories take part in a click.

    Attributes:
        interactions: how many past interactions are heard; None: the interaction memory is off.
        cases: stands for what the case memory held and how it was asked, another value whenever that is another; None:
            it is not asked.
        attended: the same for the cases to which the encoder attends; None: to none.
    """

    interactions: int | None = None
    cases: Hashable = None
    attended: Hashable = None


@dataclass(frozen=True)
class Prompts:
    """All that a mask follows from: a starting mask (by its number in the session; 0 is empty) and clicks in order.

    Attributes:
        listening: what each click was made under, so that it gives the same mask when the memories have changed since;
            empty: what is set now.
    """

    start: int = 0
    clicks: tuple[Click, ...] = ()
    listening: tuple[Listening, ...] = ()

    def made_after(self, before: Prompts, now: Listening) -> Prompts:
        """These prompts, made out of those before: the first clicks of both stay what they were, the others are new.

        Args:
            now: what the new clicks are made under.
        """
        shared = 0
        if self.start == before.start and len(before.listening) == len(before.clicks):
            for mine, its in zip(self.clicks, before.clicks, strict=False):
                if mine != its:
                    break
                shared += 1
        return replace(self, listening=(*before.listening[:shared], *(now,) * (len(self.clicks) - shared)))

    def first(self, number: int) -> Prompts:
        """The prompts with the first clicks only."""
        return Prompts(self.start, self.clicks[:number], self.listening[:number])


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

    def made_under(self, before: Prompts, now: Listening) -> PromptHistory:
        """The history in which the current prompts know what their clicks were made under."""
        current = self.current.made_after(before, now)
        return replace(self, states=(*self.states[: self.position], current, *self.states[self.position + 1 :]))

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
