"""The log of a training: ``log.csv`` with one line a step, also after a resume, and its curves as a picture."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from MemorizingSAM3DLib.engine.errors import EngineError, OutputError

_PANELS = (("loss",), ("dice_first", "dice_last"), ("learning_rate",))


class TrainingLog:
    """Appends lines to a CSV file. Lines that cannot be written (a full disk) wait for the next attempt.

    Args:
        path: the file. Lines of it beyond ``step``, which a resumed training takes again, and a torn last line are
            removed.
        step: the one that the training goes on from.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self._waiting: list[dict[str, str]] = []
        self._names: list[str] = []
        if not path.exists():
            return
        kept = [line for line in read_log(path) if line["step"] <= step]
        if kept:
            self._names = list(kept[0])
        lines = [{name: _text(name, value) for name, value in line.items()} for line in kept]
        partial = path.with_name(path.name + ".part")
        with _writing(path):
            partial.write_text(_csv(self._names, lines, header=True) if kept else "", encoding="utf-8", newline="")
            os.replace(partial, path)

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Appends a line.

        Raises:
            OutputError: the file cannot be written; the line is kept and written with the next one.
        """
        values = {"step": step, **figures}
        self._waiting.append({name: _text(name, value) for name, value in values.items()})
        new = not self.path.exists() or self.path.stat().st_size == 0
        names = self._names if self._names and not new else list(values)
        with _writing(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(_csv(names, self._waiting, header=new))
        self._names, self._waiting = names, []


def read_log(path: Path) -> list[dict[str, float]]:
    """The lines of a log, in order; a torn line is left out.

    Raises:
        OutputError: the file cannot be read, or is no log.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise OutputError(f"The log {path} cannot be read ({error}).", "Check the path, or remove it.") from error
    lines = []
    for line in csv.DictReader(io.StringIO(text)):
        try:
            numbers = {str(name): float(value) for name, value in line.items() if name is not None}
        except (TypeError, ValueError):
            continue
        if "step" not in numbers:
            raise OutputError(f"{path} is no log of a training.", "Move it away, or choose another --out.")
        lines.append(numbers)
    return lines


class PlottingError(EngineError):
    """There is nothing to draw with."""


def draw_curves(log: Path, picture: Path) -> None:
    """Draws a log's loss, Dice and learning rate over the steps, each with its running mean, as a PNG.

    Raises:
        PlottingError: matplotlib is not installed.
        OutputError: the log cannot be read, or the picture not be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlottingError(
            "Curves are drawn by matplotlib, which is not installed here.", "pip install matplotlib, or open log.csv."
        ) from error
    lines = read_log(log)
    panels = [panel for panel in _PANELS if any(name in line for line in lines for name in panel)] or [("loss",)]
    figure = Figure(figsize=(4 * len(panels), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        for name in panel:
            found = [(line["step"], line[name]) for line in lines if name in line]
            steps, values = np.array(found or [(0.0, np.nan)]).T
            width = max(1, len(values) // 50)
            (curve,) = axes.plot(steps, values, alpha=0.25, linewidth=0.7)
            smooth = np.convolve(values, np.ones(width) / width, mode="valid")
            axes.plot(steps[width - 1 :], smooth, color=curve.get_color(), label=name.replace("_", " "))
        axes.set_xlabel("step")
        axes.legend()
        axes.grid(alpha=0.3)
    with _writing(picture):
        figure.savefig(picture, dpi=110)


def _text(name: str, value: float) -> str:
    if name == "step":
        return str(int(value))
    return f"{value:.1f}" if name == "seconds" else f"{value:.6g}"


def _csv(names: list[str], lines: list[dict[str, str]], header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", restval="nan")
    if header:
        writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}).", "Check the free space and the permissions."
        ) from error
