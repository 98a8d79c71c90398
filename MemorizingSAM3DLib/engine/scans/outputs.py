"""Where a result may be written: never over what it is made from, and over what exists only when that is asked for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ..errors import OutputError

#: Programs that are given A.nii.gz read A.nii where both exist, and the like.
_NIFTI_ENDINGS = (".nii.gz", ".nii", ".hdr.gz", ".img.gz", ".hdr", ".img")


def check_output(path: Path, inputs: Iterable[Path] = (), replace: bool = False, make_folder: bool = False) -> None:
    """Whether a file may be written, asked before anything is computed.

    Args:
        path: the file. inputs: files and folders that the result is made from. replace: whether a file that is there
            may be replaced. make_folder: whether its folder is made if it is missing.

    Raises:
        OutputError: it is an input (by any spelling or link), lies in a folder that is one, would be read in place of
            one, or exists; its folder is missing or cannot be written to.
    """
    refuse_inputs(path, inputs)
    if path.is_dir():
        raise OutputError(f"The output '{path}' is a folder.", "Give the name of a file.")
    if os.path.lexists(path) and not replace:
        raise OutputError(f"'{path}' exists already.", "Give another name, or add --force to replace it.")
    folder = path.absolute().parent
    if make_folder and not folder.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The folder '{folder}' cannot be made ({error.strerror or error}).", "Choose another one."
            ) from error
    check_folder(folder)


def refuse_inputs(path: Path, inputs: Iterable[Path]) -> None:
    """Raises OutputError when a path is one of the inputs, in one of them, or would be taken for one."""
    for source in inputs:
        if _is_same(path, source):
            raise OutputError(f"The output '{path}' is the input '{source}' itself.", "Give another name.")
        if source.is_dir() and _lies_in(path, source):
            raise OutputError(f"The output '{path}' lies in the input folder '{source}'.", "Choose another folder.")
        if _takes_the_place_of(path, source):
            raise OutputError(
                f"Beside '{source}', a file named '{path.name}' would be read in its place by many programs.",
                "Give another name.",
            )


def check_folder(folder: Path) -> None:
    """Whether a folder exists and files can be made in it.

    Raises:
        OutputError: it does not, is a file, or they cannot.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"'{folder}' is a file, not a folder.", "Choose a folder.")
    if not folder.is_dir():
        raise OutputError(f"The folder '{folder}' does not exist.", "Create it, or choose another one.")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"Nothing can be written to the folder '{folder}' ({error.strerror or error}).",
            "Choose another folder, or ask for write permission on this one.",
        ) from error


def _is_same(path: Path, source: Path) -> bool:
    try:
        if path.exists() and source.exists():
            return os.path.samefile(path, source)
    except OSError:
        pass
    return path.resolve() == source.resolve()


def _lies_in(path: Path, folder: Path) -> bool:
    inside = folder.resolve()
    return any(place == inside or _is_same(place, inside) for place in path.resolve().parents)


def _takes_the_place_of(path: Path, source: Path) -> bool:
    ours, theirs = _nifti_stem(path), _nifti_stem(source)
    return ours is not None and ours == theirs and _is_same(path.resolve().parent, source.resolve().parent)


def _nifti_stem(path: Path) -> str | None:
    name = path.name.lower()
    return next((name[: -len(ending)] for ending in _NIFTI_ENDINGS if name.endswith(ending)), None)
