"""Where the files that come with the package are: weights, the registry of models, icons.

Files that are either the old one or the whole new one, whatever happens in between.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import OutputError

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


_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{16}\.part")
_ABANDONED = 3600  # seconds: nobody writes one file for an hour


@contextmanager
def atomic_file(path: Path, replace: bool = True) -> Iterator[BinaryIO]:
    """A file to write into that takes the place of `path` when the block ends without an error.

    It is written beside its place, brought to the disk, and renamed; then the folder is brought to the disk.

    Args:
        path: the target, in a folder that is there.
        replace: whether it may take the place of a file; if not, whoever is first wins.

    Raises:
        FileExistsError: the target is there, and is not to be replaced.
        OutputError: the folder is gone or may not be written to, or the disk is full. The target is as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        # Not tempfile: its files are for their owner alone, whatever the umask of a team's folder is.
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            _rename_once(temporary, path)
        _sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise write_failure(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sweep_leftovers(folder: Path) -> None:
    """Removes what killed processes left half written more than an hour ago; what cannot be removed stays."""
    with suppress(OSError):
        for path in leftovers(folder):
            with suppress(OSError):
                path.unlink()


def leftovers(folder: Path) -> list[Path]:
    """Half-written files that nobody can still be writing."""
    before = time.time() - _ABANDONED
    with os.scandir(folder) as entries:
        return [Path(e.path) for e in entries if _LEFTOVER.fullmatch(e.name) and e.stat().st_mtime < before]


def write_failure(path: Path, error: OSError) -> OutputError:
    """The error of a file that cannot be written or removed, in words for the user."""
    kept = "What was there before is unchanged."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(f"{path} cannot be written: the disk is full.", f"Make room and try again. {kept}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = f"Choose a folder that you may write to, or close the program that uses this file. {kept}"
        return OutputError(f"{path} may not be written to.", remedy)
    if error.errno == errno.ENOENT:
        return OutputError(f"The folder {path.parent} is gone.", "Bring it back, or choose another one.")
    return OutputError(f"{path} cannot be written ({error.strerror or error}).", f"Check the disk. {kept}")


def _rename_once(temporary: Path, path: Path) -> None:
    if os.name == "nt":
        os.rename(temporary, path)  # refuses to replace, there
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # file systems without hard links: a moment is left in which two may both believe to be first
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return  # Windows does not let folders be opened
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every file system brings folders to the disk
            os.fsync(handle)
    finally:
        os.close(handle)
