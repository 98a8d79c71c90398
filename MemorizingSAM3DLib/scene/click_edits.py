"""What can be done to one of a segment's clicks. A number that is none leaves them as they are."""

from __future__ import annotations

from dataclasses import replace

from MemorizingSAM3DLib.engine.prompts import Click


def withoutClick(clicks: tuple[Click, ...], number: int) -> tuple[Click, ...]:
    """The clicks without one of them, numbered from 0."""
    return tuple(click for other, click in enumerate(clicks) if other != number)


def withTurnedClick(clicks: tuple[Click, ...], number: int) -> tuple[Click, ...]:
    """The clicks with one turned from inside to outside, or back."""
    return tuple(
        replace(click, positive=not click.positive) if other == number else click for other, click in enumerate(clicks)
    )
