"""The content of a remembered case: checked arrays, their hashes, and the id that follows from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .case_facts import CaseFacts
from .case_layout import DESCRIPTOR, DTYPES, ArraySpec, CaseLayout
from .errors import CaseMemoryError

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
        raise _refused(" and ".join(problems))
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
        raise _refused(f"has {name} of shape {array.shape}, not {spec.shape}")
    target = DTYPES[spec.dtype]
    if array.dtype.kind not in ("f" if target.kind == "f" else "biu"):
        raise _refused(f"has {name} of {array.dtype.name}, not {spec.dtype}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        kept = np.ascontiguousarray(array, target)
    if target.kind in "iu" and not np.array_equal(kept, array):
        raise _refused(f"has numbers in {name} beyond {spec.dtype}")
    if fault := fault_in(name, kept):
        raise _refused(fault)
    return kept


def _refused(problem: str) -> CaseMemoryError:
    return CaseMemoryError(f"The case {problem}.", "Nothing was remembered; the memory is as it was.")
