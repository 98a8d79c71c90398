"""Where the files that come with the package are: weights, the registry of models, icons."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def resource_path(*parts: str) -> Path:
    """The path of a file or folder under ``Resources``.

    ``Resources`` stands beside the package in the sources and in Slicer (``qt-scripted-modules``), and inside it in a
    wheel.

    Args:
        parts: the way below ``Resources``, one name each: ``resource_path("Models", "registry.json")``.

    Raises:
        FileNotFoundError: no such file came with this installation.
    """
    roots = (_PACKAGE / "Resources", _PACKAGE.parent / "Resources")
    for root in roots:
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise FileNotFoundError(
        f"{'/'.join(parts) or 'Resources'} did not come with this installation of MemorizingSAM3D "
        f"(looked in {' and '.join(str(root) for root in roots)}). Install it again."
    )
