"""A mask on the scan's grid, small enough to keep one for every state of a session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import Box

NOWHERE = Box(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class PackedMask:
    """The bits of a mask inside its bounding box; everything outside is empty.

    Attributes:
        box: scan voxels, half open. bits: ``numpy.packbits`` of the box's voxels in array order.
    """

    box: Box = NOWHERE
    bits: bytes = b""

    @classmethod
    def of(cls, array: np.ndarray, box: Box) -> PackedMask:
        """Packs a bool array that covers ``box``, cut down to what is set."""
        inner = Box.of_mask(array)
        if inner.is_empty:
            return cls()
        low = np.add(box.low, inner.low)
        tight = Box.between(low, np.add(low, inner.shape))
        return cls(tight, np.packbits(array[inner.slices]).tobytes())

    @property
    def is_empty(self) -> bool:
        """Whether no voxel is set."""
        return self.box.is_empty

    def at(self, voxel: tuple[int, int, int]) -> bool:
        """Whether a voxel (k, j, i) of the scan is set."""
        k, j, i = np.subtract(voxel, self.box.low).tolist()
        rows, columns, length = self.box.shape
        if not (0 <= k < rows and 0 <= j < columns and 0 <= i < length):
            return False
        byte, bit = divmod((k * columns + j) * length + i, 8)
        return bool(self.bits[byte] >> (7 - bit) & 1)

    def at_each(self, voxels: np.ndarray) -> np.ndarray:
        """Which of these voxels, (N, 3) whole numbers (k, j, i), are set: (N,) bool."""
        result = np.zeros(len(voxels), dtype=bool)
        offsets = voxels - np.array(self.box.low)
        inside = ((offsets >= 0) & (offsets < self.box.shape)).all(axis=1)
        if inside.any():
            places = np.ravel_multi_index(tuple(offsets[inside].T), self.box.shape)
            result[inside] = np.frombuffer(self.bits, np.uint8)[places >> 3] >> (7 - (places & 7)) & 1
        return result

    def within(self, box: Box) -> np.ndarray:
        """The mask's voxels in a box of the scan: bool array of the box's shape, fresh and writable."""
        result = np.zeros(box.shape, dtype=bool)
        common = self.box.intersection(box)
        if not common.is_empty:
            own = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=int(np.prod(self.box.shape))).view(bool)
            result[_shifted(common, box).slices] = own.reshape(self.box.shape)[_shifted(common, self.box).slices]
        return result

    def difference_box(self, other: PackedMask) -> Box:
        """The smallest box that holds every voxel in which the two differ."""
        if self.bits == other.bits and self.box == other.box:
            return NOWHERE
        both = self.box.union(other.box)
        inner = Box.of_mask(self.within(both) != other.within(both))
        if inner.is_empty:
            return NOWHERE
        low = np.add(both.low, inner.low)
        return Box.between(low, np.add(low, inner.shape))


def _shifted(box: Box, origin: Box) -> Box:
    return Box.between(np.subtract(box.low, origin.low), np.subtract(box.high, origin.low))
