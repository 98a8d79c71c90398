"""Options that the benchmark's subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Repeats = Annotated[int, typer.Option(min=1, help="Timed turns of everything.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of PyTorch and ITK.", show_default="PyTorch's own choice")
]
Device = Annotated[str, typer.Option(help="auto, cuda, cuda:0 or cpu.")]
Model = Annotated[str | None, typer.Option(help="A registered model or a file. Default: the shipped one.")]
Out = Annotated[
    Path | None, typer.Option("--out", file_okay=False, help="Folder for JSON, CSV, Markdown and a picture.")
]
