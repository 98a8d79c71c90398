"""What a remembered case holds: which arrays, of which type and shape, the same for every case of a memory."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from .errors import CaseMemoryError

DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in ("float16", "float32", "uint8", "int8", "int16")}
DESCRIPTOR = "descriptor"

_NAME = re.compile(r"descriptor|tokens|features|mask|(keys|values)\.[a-z0-9_]{1,32}|prior\.[a-z][a-z0-9_]{0,31}")
_MOST_ARRAYS = 128
_MOST_AXES = 5
_MOST_BYTES = 2**28  # of one case; keys and values of all twelve blocks of the largest encoder take 19 MB
_REMEDY = "It is not a memory of MemorizingSAM3D, or of a newer version: take another one, or update."


class ArraySpec(NamedTuple):
    """Type and shape of one array: a name of :data:`DTYPES` and axis lengths, each at least 1."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * DTYPES[self.dtype].itemsize


class CaseLayout(Mapping[str, ArraySpec]):
    """The arrays of every case of a memory: name -> (dtype, shape), in the order of the names.

    Names: ``descriptor`` (D,) float16 of unit length, always there; ``keys.<layer>`` and ``values.<layer>``
    (heads, tokens, head_dim) float16, both or none, of one shape but for the last axis; ``tokens``, ``features``,
    ``mask`` and ``prior.<word>`` of any shape.

    Args:
        arrays: dtype and shape by name.

    Raises:
        CaseMemoryError: an unknown name or dtype, an absurd shape, or keys without values.
    """

    def __init__(self, arrays: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
        if len(arrays) > _MOST_ARRAYS:
            raise _refused(f"asks for {len(arrays)} arrays a case")
        self._specs = {name: _spec(name, *arrays[name]) for name in sorted(arrays)}
        if DESCRIPTOR not in self._specs:
            raise _refused("has no descriptor")
        for name, spec in self._specs.items():
            self._check_pair(name, spec)
        if self.nbytes > _MOST_BYTES:
            raise _refused(f"asks for {self.nbytes} bytes a case")

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> CaseLayout:
        """The layout of a case's arrays."""
        return cls({name: (array.dtype.name, array.shape) for name, array in arrays.items()})

    @classmethod
    def from_json(cls, value: object) -> CaseLayout:
        """The layout that :meth:`as_json` gave, checked."""
        if not isinstance(value, dict):
            raise _refused("is not a table")
        arrays = {}
        for name, spec in value.items():
            if not (isinstance(spec, list) and len(spec) == 2 and isinstance(spec[1], list)):
                raise _refused(f"describes {name[:40]!r} in another way")
            arrays[name] = (spec[0], tuple(spec[1]))
        return cls(arrays)

    def as_json(self) -> dict[str, list[Any]]:
        """A JSON-ready table."""
        return {name: [spec.dtype, list(spec.shape)] for name, spec in self._specs.items()}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays of one case."""
        return sum(spec.nbytes for spec in self._specs.values())

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of which a case holds keys and values."""
        return tuple(name.removeprefix("keys.") for name in self._specs if name.startswith("keys."))

    def __getitem__(self, name: str) -> ArraySpec:
        return self._specs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CaseLayout) and self._specs == other._specs

    def __hash__(self) -> int:
        return hash(tuple(self._specs.items()))

    def __repr__(self) -> str:
        return f"CaseLayout({ {name: tuple(spec) for name, spec in self._specs.items()} })"

    def _check_pair(self, name: str, spec: ArraySpec) -> None:
        kind, _, layer = name.partition(".")
        if kind not in ("keys", "values"):
            return
        partner = self._specs.get(f"{'values' if kind == 'keys' else 'keys'}.{layer}")
        if partner is None or partner.shape[:2] != spec.shape[:2]:
            raise _refused(f"has {name} without their partners")


def _spec(name: object, dtype: object, shape: tuple[object, ...]) -> ArraySpec:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _refused(f"names an array {str(name)[:40]!r}")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _refused(f"asks for {name} as {str(dtype)[:40]!r}")
    if not 1 <= len(shape) <= _MOST_AXES or not all(type(n) is int and 1 <= n <= _MOST_BYTES for n in shape):
        raise _refused(f"gives {name} an impossible shape")
    kind = name.partition(".")[0]
    axes = {DESCRIPTOR: 1, "keys": 3, "values": 3}.get(kind)
    if axes is not None and (len(shape) != axes or dtype != "float16"):
        raise _refused(f"gives {name} another form than float16 with {axes} axes")
    return ArraySpec(dtype, tuple(int(str(n)) for n in shape))


def _refused(problem: str) -> CaseMemoryError:
    return CaseMemoryError(f"The layout of the case memory {problem}.", _REMEDY)
