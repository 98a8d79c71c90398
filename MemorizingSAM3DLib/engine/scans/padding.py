"""Voxels that hold no measurement: padding far from the values of the rest, recognised and put beside them."""

from __future__ import annotations

import numpy as np

from ..errors import VolumeError

#: What a CT scanner can mean. Values beyond are padding where many voxels have the very same one.
_CT_HU = (-1100.0, 4000.0)
_CT_AIR = -1024.0
#: A value is padding when so large a part of the voxels has it ...
_LEAST_PART = 5e-4
#: (of high padding: so large a part of the outer faces, too)
_LEAST_PART_OF_RIM = 0.02
#: ... and no other voxel is nearer to it than so many times the span of the rest.
_GAP_BELOW, _GAP_ABOVE = 2.0, 0.75
#: Fewer different values than this are labels or a drawing, not a scan.
_LEAST_VALUES = 16
_SPAN = (0.5, 99.5)  # percentiles
_SAMPLES = 96  # an axis
#: Beyond, float32 overflows when values are squared or summed.
_LARGEST = 1e30


def finite(array: np.ndarray, modality: str | None) -> np.ndarray:
    """The array itself if all of it is finite, else a copy whose other voxels hold the lowest value, or air in a CT.

    Raises:
        VolumeError: no voxel is finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if array.dtype.kind != "f" or np.isfinite(array.sum(dtype=np.float64)):
            return array
    is_finite = np.isfinite(array)
    if is_finite.all():  # their sum overflowed
        return array
    if not is_finite.any():
        raise VolumeError(
            "The scan holds no measurement: every voxel is NaN or infinite.",
            "Check that the right volume is chosen and that it was written completely.",
        )
    lowest = float(array[is_finite].min())
    return np.where(is_finite, array, array.dtype.type(min(lowest, _CT_AIR) if modality == "CT" else lowest))


def without_padding(array: np.ndarray, modality: str | None) -> tuple[np.ndarray, tuple[float, ...]]:
    """A scan whose padding does not take the contrast of what was measured.

    A value is padding when many voxels have it, it is the lowest or highest of all, and it lies far from the rest:
    -9999, -32768, 65535, 1e30. Low padding becomes a value a little below the rest, high padding the lowest of the
    rest, as what is outside of the field of view; in a CT both become air.

    Args:
        array: (K, J, I) of finite numbers. modality: "CT" where the voxels are Hounsfield units.

    Returns:
        the array itself where it has no padding, else a copy; and the values that were taken for padding.
    """
    paddings = _paddings(array, modality)
    result = array
    for value, instead in paddings:
        result = np.where(array == array.dtype.type(value), array.dtype.type(instead), result)
    if array.dtype.kind == "f" and array.dtype.itemsize > 4 and max(-result.min(), result.max()) > _LARGEST:
        result = np.clip(result, -_LARGEST, _LARGEST)
    return result, tuple(value for value, _ in paddings)


def _paddings(array: np.ndarray, modality: str | None) -> list[tuple[float, float]]:
    """Each padding value with what stands for it."""
    rest = _thinned(array).astype(np.float64).ravel()
    least = max(2.0, _LEAST_PART * rest.size)
    found: list[tuple[float, bool]] = []
    for _ in range(4):  # NaN in the file and a value or two of the scanner's
        added = False
        for is_low, value in ((True, rest.min()), (False, rest.max())):
            others = rest[rest != value]
            if rest.size - others.size < least or not _is_apart(others, value, is_low, modality):
                continue
            if not is_low and not _reaches_the_rim(array, value):
                continue
            found.append((float(value), is_low))
            rest, added = others, True
        if not added:
            break
    if not found:
        return []
    low, high = np.percentile(rest, _SPAN).tolist()
    if modality == "CT":
        below = above = min(_CT_AIR, float(rest.min()))
    else:
        below, above = float(rest.min()) - (high - low) / 4, float(rest.min())
    kind = array.dtype
    if kind.kind in "iu":
        below, above = (max(float(np.iinfo(kind).min), np.floor(value)) for value in (below, above))
    return [(value, max(value, below) if is_low else above) for value, is_low in found]


def _is_apart(others: np.ndarray, value: float, is_low: bool, modality: str | None) -> bool:
    if len(others) < 2 or len(np.unique(others[:: max(1, len(others) // 4096)])) < _LEAST_VALUES:
        return False
    if modality == "CT":
        return value < _CT_HU[0] or value > _CT_HU[1]
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = np.percentile(others, _SPAN)
        gap = others.min() - value if is_low else value - others.max()
        return bool(gap > (_GAP_BELOW if is_low else _GAP_ABOVE) * (high - low))


def _reaches_the_rim(array: np.ndarray, value: float) -> bool:
    """Whether a value is on the outer faces of a scan; a bright thing within it is not padding."""
    faces = [_thinned(array[side]) for side in (0, -1)]
    faces += [_thinned(array[:, side]) for side in (0, -1)]
    faces += [_thinned(array[:, :, side]) for side in (0, -1)]
    outer = np.concatenate([face.ravel() for face in faces])
    return bool(np.count_nonzero(outer == array.dtype.type(value)) > _LEAST_PART_OF_RIM * outer.size)


def _thinned(array: np.ndarray) -> np.ndarray:
    return array[tuple(slice(None, None, max(1, -(-size // _SAMPLES))) for size in array.shape)]
