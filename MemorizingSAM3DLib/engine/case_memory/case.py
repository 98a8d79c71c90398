"""What a remembered case holds: which arrays, of which type and shape, the same for every case of a memory.

The few facts that a remembered case carries. None of them can name a patient.

The content of a remembered case: checked arrays, their hashes, and the id that follows from them.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np

from ..errors import CaseMemoryError

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


MODALITIES = ("", "CT", "MR", "PET", "US")
SOURCES = ("training", "user")
MOST_STRUCTURE = 64  # characters
_FACTS_REMEDY = "Give structure, modality, created (a day) and source; nothing else is kept with a case."


def _today() -> str:
    return datetime.date.today().isoformat()


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What is known of a remembered case.

    Args:
        structure: what was segmented, in the annotator's words: at most 64 printable characters, or empty.
        modality: one of :data:`MODALITIES`; empty: not known.
        created: the day it was remembered, YYYY-MM-DD.
        source: one of :data:`SOURCES`.

    Raises:
        CaseMemoryError: a fact is of another form.
    """

    structure: str = ""
    modality: str = ""
    created: str = field(default_factory=_today)
    source: str = "user"

    def __post_init__(self) -> None:
        if not isinstance(self.structure, str) or not self.structure.isprintable():
            raise _refused_facts("a structure's name with characters that cannot be printed")
        if len(self.structure) > MOST_STRUCTURE:
            raise _refused_facts(f"a structure's name of more than {MOST_STRUCTURE} characters")
        if self.modality not in MODALITIES:
            raise _refused_facts(f"the modality {str(self.modality)[:20]!r}")
        if self.source not in SOURCES:
            raise _refused_facts(f"the source {str(self.source)[:20]!r}")
        try:
            day = datetime.date.fromisoformat(self.created).isoformat()
        except (TypeError, ValueError):
            day = None
        if day != self.created:
            raise _refused_facts(f"the day {str(self.created)[:20]!r}")

    @classmethod
    def from_json(cls, value: object) -> CaseFacts:
        """The facts that :meth:`as_json` gave, checked: exactly these four."""
        names = {fact.name for fact in fields(cls)}
        if not isinstance(value, dict) or set(value) != names:
            raise _refused_facts("other facts than those of a case")
        return cls(**value)

    def as_json(self) -> dict[str, Any]:
        """A JSON-ready table."""
        return asdict(self)


def _refused_facts(what: str) -> CaseMemoryError:
    return CaseMemoryError(f"A case memory cannot keep {what}.", _FACTS_REMEDY)


_DIGEST = 32  # bytes of SHA-256
_ROUNDING = 0.01  # a unit vector in half precision is shorter or longer by less than this


class StoredCase(NamedTuple):
    """A case in its file: id, facts, the hashes of its arrays one behind the other, its bytes, and where it begins.

    `start` is the first byte behind the header of a file of its own, or the row in a file of many cases.
    """

    id: str
    facts: CaseFacts
    digests: bytes
    size_bytes: int
    start: int

    def digest(self, layout: CaseLayout, name: str) -> bytes:
        """The hash of one array."""
        place = list(layout).index(name) * _DIGEST
        return self.digests[place : place + _DIGEST]


def checked_arrays(layout: CaseLayout, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays as a memory keeps them: contiguous, in the layout's types.

    Raises:
        CaseMemoryError: a name is missing or unknown, a shape or type does not fit, a number is not finite or too large
            for half precision, or the descriptor is not of unit length.
    """
    missing, unknown = sorted(set(layout) - set(arrays)), sorted(set(arrays) - set(layout))
    if missing or unknown:
        problems = [f"{what} {', '.join(names)}" for what, names in (("lacks", missing), ("brings", unknown)) if names]
        raise _refused_content(" and ".join(problems))
    return {name: _checked(name, spec, np.asarray(arrays[name])) for name, spec in layout.items()}


def digests_of(layout: CaseLayout, arrays: Mapping[str, np.ndarray]) -> bytes:
    """The SHA-256 of every array, one behind the other, in the order of the layout."""
    return b"".join(array_digest(arrays[name]) for name in layout)


def array_digest(array: np.ndarray) -> bytes:
    """SHA-256 of a contiguous array's bytes."""
    return hashlib.sha256(array.reshape(-1).view(np.uint8).data).digest()


def case_id(encoder: str, layout: CaseLayout, facts: CaseFacts, digests: bytes) -> str:
    """What a case is called: 32 hexadecimal digits that follow from its content, so that one case has one name.

    The day and the source do not count: remembering a case again tomorrow adds nothing.
    """
    content = [encoder, layout.as_json(), facts.structure, facts.modality, digests.hex()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def fault_in(name: str, array: np.ndarray) -> str | None:
    """What no sound case has: numbers that are not finite, a descriptor that is not of unit length."""
    if array.dtype.kind != "f":
        return None
    if not np.isfinite(array).all():
        return f"has numbers in {name} that are not finite"
    if name == DESCRIPTOR and abs(float(np.linalg.norm(array.astype(np.float32))) - 1) > _ROUNDING:
        return "has a descriptor that is not of unit length"
    return None


def digests_length(layout: CaseLayout) -> int:
    """Bytes of all hashes of a case."""
    return _DIGEST * len(layout)


def _checked(name: str, spec: ArraySpec, array: np.ndarray) -> np.ndarray:
    if array.shape != spec.shape:
        raise _refused_content(f"has {name} of shape {array.shape}, not {spec.shape}")
    target = DTYPES[spec.dtype]
    if array.dtype.kind not in ("f" if target.kind == "f" else "biu"):
        raise _refused_content(f"has {name} of {array.dtype.name}, not {spec.dtype}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        kept = np.ascontiguousarray(array, target)
    if target.kind in "iu" and not np.array_equal(kept, array):
        raise _refused_content(f"has numbers in {name} beyond {spec.dtype}")
    if fault := fault_in(name, kept):
        raise _refused_content(fault)
    return kept


def _refused_content(problem: str) -> CaseMemoryError:
    return CaseMemoryError(f"The case {problem}.", "Nothing was remembered; the memory is as it was.")
