"""Points on the command line."""

from __future__ import annotations

import typer

Point = tuple[tuple[float, float, float], bool]


def parse_point(text: str) -> Point:
    """``R,A,S`` or ``R,A,S,+`` is a positive point, ``R,A,S,-`` a negative one.

    Raises:
        typer.BadParameter: the text is not a point.
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        if len(parts) not in (3, 4) or (len(parts) == 4 and parts[3] not in ("+", "-")):
            raise ValueError
        x, y, z = (float(part) for part in parts[:3])
    except ValueError as error:
        raise typer.BadParameter(
            f"'{text}' is not a point. Write three numbers, 12.5,-8,30, and ',-' behind them for a negative one."
        ) from error
    return (x, y, z), not (len(parts) == 4 and parts[3] == "-")
