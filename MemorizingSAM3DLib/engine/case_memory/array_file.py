"""Safetensors files read and written plainly: nothing is mapped, nothing is allocated before all sizes are compared.

The safetensors package maps files into memory, and a mapped file that shrinks meanwhile (a network folder, a stick
pulled out) ends the process; it also wants a file's arrays whole, and a memory is written case by case. The format is
small: eight bytes of length, a JSON header, the arrays one behind the other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..errors import UnreadableCaseError
from .case import DTYPES, ArraySpec

_CODES = {"float16": "F16", "float32": "F32", "uint8": "U8", "int8": "I8", "int16": "I16"}
_METADATA = "__metadata__"
REMEDY = "Copy it again from where it came from, or remove it."


class Header(NamedTuple):
    """The start of a file: its strings, its table of arrays, where the arrays begin, and the bytes of the whole."""

    path: Path
    metadata: dict[str, str]
    entries: dict[str, Any]
    start: int
    size: int


def read_header(path: Path, most: int) -> Header:
    """The header of a safetensors file; of its arrays nothing is read, and nothing is believed yet (:func:`compare`).

    Args:
        path: the file.
        most: bytes that the header may have.

    Raises:
        UnreadableCaseError: missing, empty, truncated, not safetensors, or a header that is too long or no sound JSON.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 10 or length > size - 8:
                raise damaged(path, "is truncated, or no safetensors file")
            if length > most:
                raise damaged(path, "is not of a case memory: its header is too long")
            text = file.read(length)
    except OSError as error:
        raise unreadable(path, error) from error
    table = parse_json(path, text)
    metadata = table.pop(_METADATA, {}) if isinstance(table, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise damaged(path, "describes itself in another way than a case memory")
    return Header(path, metadata, table, 8 + length, size)


def compare(header: Header, arrays: Mapping[str, ArraySpec]) -> None:
    """Refuses a file unless it holds exactly these arrays, as :func:`write_array_file` writes them, and nothing more.

    Raises:
        UnreadableCaseError: other names, types, shapes or places than expected, or a file of another length.
    """
    if header.entries != _entries(arrays):
        raise damaged(header.path, "does not hold the arrays of this memory")
    if header.size != header.start + _total(arrays):
        raise damaged(header.path, "is truncated, or longer than its arrays")


def offsets(arrays: Mapping[str, ArraySpec]) -> dict[str, int]:
    """Where each array begins, in bytes behind the header: the widest types first, so that all are aligned."""
    begins, position = {}, 0
    for name in _file_order(arrays):
        begins[name] = position
        position += arrays[name].nbytes
    return begins


def read_array(path: Path, offset: int, out: np.ndarray) -> None:
    """Fills a contiguous array from a place in a file.

    Raises:
        UnreadableCaseError: the file is gone, or ends before the array does.
    """
    raw = out.reshape(-1).view(np.uint8)
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            filled = 0
            while filled < raw.size and (count := file.readinto(raw[filled:].data)):
                filled += count
    except OSError as error:
        raise unreadable(path, error) from error
    if filled < raw.size:
        raise damaged(path, "is truncated")


def write_array_file(
    file: BinaryIO,
    metadata: Mapping[str, str],
    arrays: Mapping[str, ArraySpec],
    pieces: Mapping[str, Iterable[Any]],
    header: int = 0,
) -> int:
    """Writes a safetensors file, array by array, each in as many pieces as it comes in.

    Args:
        file: opened for writing.
        metadata: strings.
        arrays: dtype and shape by name.
        pieces: by name, contiguous arrays that together are the array.
        header: bytes that the header takes at least, a multiple of 8; the rest of it is blank.

    Returns:
        bytes written.
    """
    table = {_METADATA: dict(metadata), **_entries(arrays)}
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(max(header, len(text) + -len(text) % 8))
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for name in _file_order(arrays):
        written = sum(file.write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data) for piece in pieces[name])
        assert written == arrays[name].nbytes, f"{name} came in another size than announced"
    return 8 + len(text) + _total(arrays)


def parse_json(path: Path, text: bytes) -> Any:
    """JSON from a stranger: no name twice in a table, no NaN, no bottomless nesting.

    Raises:
        UnreadableCaseError: it is no such JSON.
    """
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise damaged(path, "is damaged, or not of a case memory") from error


def damaged(path: Path, problem: str) -> UnreadableCaseError:
    """The error of a file that is not what it should be."""
    return UnreadableCaseError(f"{path} {problem}.", REMEDY)


def unreadable(path: Path, error: OSError) -> UnreadableCaseError:
    """The error of a file that the computer cannot read."""
    gone = isinstance(error, FileNotFoundError)
    problem = "is not there any more" if gone else f"cannot be read ({error.strerror or error})"
    return UnreadableCaseError(
        f"{path} {problem}.", "Check the folder, the disk and the permissions.", gone, damaged=False
    )


def _entries(arrays: Mapping[str, ArraySpec]) -> dict[str, Any]:
    begins = offsets(arrays)
    return {
        name: {
            "dtype": _CODES[arrays[name].dtype],
            "shape": list(arrays[name].shape),
            "data_offsets": [begins[name], begins[name] + arrays[name].nbytes],
        }
        for name in _file_order(arrays)
    }


def _file_order(arrays: Mapping[str, ArraySpec]) -> list[str]:
    return sorted(arrays, key=lambda name: (-DTYPES[arrays[name].dtype].itemsize, name))


def _total(arrays: Mapping[str, ArraySpec]) -> int:
    return sum(spec.nbytes for spec in arrays.values())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name stands twice")
    return table


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number")
