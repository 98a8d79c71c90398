"""``python -m MemorizingSAM3DLib.cli``: the program where it is not installed, and for torchrun."""

from __future__ import annotations

from . import main

main()
