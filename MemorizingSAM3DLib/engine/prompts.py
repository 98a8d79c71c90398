"""What the user points at, and every state that the prompts have been in."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from .errors import PromptError

Point = tuple[float, float, float]
MOST_DRAWN = 4096  # points of a scribble or a lasso
_FLAT = 1e-6  # mm: two corners of a box this close along an axis lie on one slice


@dataclass(frozen=True)
class Click:
    """A point of the scan that belongs to the object (positive) or does not (negative).

    Args:
        ras: world RAS in mm.
        positive: whether the object is there.
    """

    ras: Point
    positive: bool = True

    @property
    def points(self) -> tuple[Point, ...]:
        """Places, RAS mm, whose side of the mask's boundary it decides."""
        return (self.ras,)

    @property
    def corners(self) -> tuple[Point, ...]:
        """Places, RAS mm, between which all of it lies."""
        return (self.ras,)


@dataclass(frozen=True)
class Scribble:
    """A line drawn on the object (positive) or beside it (negative).

    Args:
        line: RAS mm, at least one point, in the order they were drawn.
        positive: whether the object is there.

    Raises:
        PromptError: there is no point, there are too many, or one is not finite.
    """

    line: tuple[Point, ...]
    positive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "line", _checked(self.line, 1, "The scribble"))

    @property
    def ras(self) -> Point:
        """Its middle point, RAS mm."""
        return self.line[len(self.line) // 2]

    @property
    def points(self) -> tuple[Point, ...]:
        """As :attr:`Click.points`."""
        return self.line

    @property
    def corners(self) -> tuple[Point, ...]:
        """As :attr:`Click.corners`."""
        return _corners(self.line)


@dataclass(frozen=True)
class BoxPrompt:
    """A box around the object (positive), or one without it (negative).

    Args:
        low, high: two opposite corners, mm along the box's axes, in any order. Equal along one axis: a rectangle on a
            slice.
        positive: whether the object is in it.
        axes: unit vectors in RAS, perpendicular to one another, along which the box lies; R, A and S by default, so
            that corners are RAS points.

    Raises:
        PromptError: it has no extent along two axes or more, a corner is not finite, or the axes are none.
    """

    low: Point
    high: Point
    positive: bool = True
    axes: tuple[Point, Point, Point] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

    def __post_init__(self) -> None:
        one, other = _checked((self.low, self.high), 2, "The box")
        r, a, s = _checked(self.axes, 3, "The box's frame")
        low, high = (tuple(pick(a, b) for a, b in zip(one, other, strict=True)) for pick in (min, max))
        if sum(b - a <= _FLAT for a, b in zip(low, high, strict=True)) > 1:
            raise PromptError("The box has no extent.", "Draw it from one corner to the opposite one.")
        if not np.allclose(np.array([r, a, s]) @ np.array([r, a, s]).T, np.eye(3), atol=1e-3):
            raise PromptError("The box's axes are not perpendicular.", "Draw the box again.")
        for name, value in (("low", low), ("high", high), ("axes", (r, a, s))):
            object.__setattr__(self, name, value)

    @property
    def ras(self) -> Point:
        """Its centre, RAS mm."""
        r, a, s = (np.add(self.low, self.high) / 2 @ np.array(self.axes)).tolist()
        return r, a, s

    @property
    def points(self) -> tuple[Point, ...]:
        """As :attr:`Click.points`: a box decides no place by itself."""
        return ()

    @property
    def corners(self) -> tuple[Point, ...]:
        """As :attr:`Click.corners`: all eight."""
        ends = np.array(np.meshgrid(*zip(self.low, self.high, strict=True), indexing="ij")).reshape(3, -1).T
        return tuple((r, a, s) for r, a, s in (ends @ np.array(self.axes)).tolist())


@dataclass(frozen=True)
class Lasso:
    """A closed line around the part of the object that lies in one plane (positive), or around what it is not.

    Args:
        outline: RAS mm, at least three points; the last is joined to the first. They may leave their common plane a
            little, as a hand or a slice's thickness makes them.
        positive: whether the object is within.

    Raises:
        PromptError: there are fewer than three points, too many, one is not finite, or they lie on one line.
    """

    outline: tuple[Point, ...]
    positive: bool = True

    def __post_init__(self) -> None:
        outline = _checked(self.outline, 3, "The lasso")
        spread = np.linalg.svd(np.subtract(outline, np.mean(outline, axis=0)), compute_uv=False)
        if spread[1] <= 1e-6 * max(1.0, float(spread[0])):
            raise PromptError("The lasso encloses nothing.", "Draw a line around the structure in one slice.")
        object.__setattr__(self, "outline", outline)

    @property
    def ras(self) -> Point:
        """The mean of its points, RAS mm."""
        r, a, s = np.mean(self.outline, axis=0).tolist()
        return r, a, s

    @property
    def points(self) -> tuple[Point, ...]:
        """As :attr:`Click.points`: a lasso decides no place by itself."""
        return ()

    @property
    def corners(self) -> tuple[Point, ...]:
        """As :attr:`Click.corners`."""
        return _corners(self.outline)


Prompt = Click | Scribble | BoxPrompt | Lasso


def moved(prompt: Prompt, ras: Sequence[float]) -> Prompt:
    """A prompt shifted as a whole, so that its :attr:`ras` is there."""
    if isinstance(prompt, Click):  # to the very place
        r, a, s = (float(value) for value in ras)
        return replace(prompt, ras=(r, a, s))
    shift = np.subtract(ras, prompt.ras)

    def at(points: Sequence[Point]) -> tuple[Point, ...]:
        return tuple((r, a, s) for r, a, s in np.add(points, shift).tolist())

    if isinstance(prompt, Scribble):
        return replace(prompt, line=at(prompt.line))
    if isinstance(prompt, BoxPrompt):
        along = np.array(prompt.axes) @ shift
        low, high = ((p[0], p[1], p[2]) for p in np.add([prompt.low, prompt.high], along).tolist())
        return replace(prompt, low=low, high=high)
    return replace(prompt, outline=at(prompt.outline))


def _checked(points: Sequence[Sequence[float]], least: int, what: str) -> tuple[Point, ...]:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3 or len(array) < least:
        raise PromptError(f"{what} has too few points.", "Draw it again.")
    if len(array) > MOST_DRAWN:
        raise PromptError(f"{what} has {len(array)} points, more than {MOST_DRAWN}.", "Draw it in several parts.")
    if not np.isfinite(array).all():
        raise PromptError(f"{what} has a point without a position.", "Draw it again.")
    return tuple((r, a, s) for r, a, s in array.tolist())


def _corners(points: Sequence[Point]) -> tuple[Point, ...]:
    array = np.asarray(points)
    low, high = array.min(axis=0).tolist(), array.max(axis=0).tolist()
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


class MemorySettings(NamedTuple):
    """Which memories take part in a click.

    Attributes:
        interactions: how many past interactions are used; None: the interaction memory is off.
        cases: stands for what the case memory held and how it was asked, another value whenever that is another; None:
            it is not asked.
        attended: the same for the cases to which the encoder attends; None: to none.
    """

    interactions: int | None = None
    cases: Hashable = None
    attended: Hashable = None


@dataclass(frozen=True)
class Prompts:
    """All that a mask follows from: a starting mask (by its number in the session; 0 is empty) and prompts in order.

    Attributes:
        memory_settings: what each click was made under, so that it gives the same mask when the memories have changed
        since;
            empty: what is set now.
    """

    start: int = 0
    clicks: tuple[Prompt, ...] = ()
    memory_settings: tuple[MemorySettings, ...] = ()

    def made_after(self, before: Prompts, now: MemorySettings) -> Prompts:
        """These prompts, made out of those before: the first clicks of both stay what they were, the others are new.

        Args:
            now: what the new clicks are made under.
        """
        shared = 0
        if self.start == before.start and len(before.memory_settings) == len(before.clicks):
            for mine, its in zip(self.clicks, before.clicks, strict=False):
                if mine != its:
                    break
                shared += 1
        return replace(self, memory_settings=(*before.memory_settings[:shared], *(now,) * (len(self.clicks) - shared)))

    def first(self, number: int) -> Prompts:
        """The prompts with the first clicks only."""
        return Prompts(self.start, self.clicks[:number], self.memory_settings[:number])


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

    def made_under(self, before: Prompts, now: MemorySettings) -> PromptHistory:
        """The history in which the current prompts know what their clicks were made under."""
        current = self.current.made_after(before, now)
        return replace(self, states=(*self.states[: self.position], current, *self.states[self.position + 1 :]))

    def edited(self, prompts: Prompts) -> PromptHistory:
        """The history after an edit."""
        return PromptHistory((*self.states[: self.position + 1], prompts), self.position + 1)

    def with_click(self, click: Prompt) -> PromptHistory:
        """One more prompt at the end."""
        return self.edited(replace(self.current, clicks=(*self.current.clicks, click)))

    def with_changed_click(self, number: int, click: Prompt) -> PromptHistory:
        """Prompt ``number`` replaced (dragged, or turned from positive to negative)."""
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
