"""Training packs: all cases of a manifest in one file, small enough to carry, expanded once to a mapped file.

The file is a zip archive of xz streams: ``pack.json`` (the manifest's entries and what follows here) and for case n

- ``n.image``: codes of :mod:`.pack`, cropped to the body and its labels, as differences along the axis on which
  they vary least;
- ``n.labels``: bytes; ``n.body``: the mask of the body, as bits.

Intensities in a byte each: steps about as large as the noise, finer where tissue is, coarser in the tails.

What a training learns from: a manifest with its files, or a training pack; both are used alike.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.engine.networks.normalisation import CT_CENTRE_HU, CT_SCALE_HU

from ..masks import occupied_box
from .cases import FOREGROUND, Case, load_case, load_cases
from .manifest import DataError, Entry, check_entries, read_manifest

_FINEST, _COARSEST = 255, 48  # steps over the whole range of a scan
_NOISE_SAMPLES = 500_000


@dataclass(frozen=True)
class Quantisation:
    """The codes of a scan: code k stands for centre + scale * sinh(low + k * step).

    For CT, centre and scale are those of the engine's normalisation, so that steps are equal in what a network sees;
    for other modalities they are the median and a quarter of the robust range of the foreground.
    """

    centre: float
    scale: float
    low: float
    step: float

    @classmethod
    def of(cls, image: np.ndarray, modality: str, noise_steps: float = 1.0) -> Quantisation:
        """The companding that suits a scan.

        Args:
            image: (R, A, S). noise_steps: steps, in standard deviations of the noise; larger is coarser and smaller.
        """
        sample = image.reshape(-1)[:: max(1, image.size // _NOISE_SAMPLES)].astype(np.float32)
        centre, scale = CT_CENTRE_HU, CT_SCALE_HU
        if modality != "CT":
            foreground = sample[sample > sample.min()]
            foreground = foreground if foreground.size else sample
            first, median, last = np.percentile(foreground, [1, 50, 99]).tolist()
            centre, scale = median, max((last - first) / 4, 1e-6 * abs(last), 1e-12)
        low, high = (float(np.arcsinh((end - centre) / scale)) for end in (float(image.min()), float(image.max())))
        noise = _noise(np.arcsinh((image.astype(np.float32) - centre) / scale), low)
        reach = max(high - low, 1e-6)
        return cls(centre, scale, low, float(np.clip(noise * noise_steps, reach / _FINEST, reach / _COARSEST)))

    def encoded(self, image: np.ndarray) -> np.ndarray:
        """uint8 codes of the image's shape."""
        bent = np.arcsinh((image.astype(np.float32) - self.centre) / self.scale)
        return np.clip(np.rint((bent - self.low) / self.step), 0, 255).astype(np.uint8)

    def decoded(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Intensities of codes; whole numbers where the type has them."""
        table = self.centre + self.scale * np.sinh(self.low + np.arange(256) * self.step)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            table = np.clip(np.rint(table), limits.min, limits.max)
        with np.errstate(over="ignore"):  # codes that do not occur may stand for anything
            return table.astype(dtype)[codes]


def _noise(bent: np.ndarray, low: float) -> float:
    """Standard deviation of the noise above the background, from second differences along each axis; the least."""
    found = []
    for axis in range(3):
        if bent.shape[axis] < 3:
            continue
        lines = np.moveaxis(bent, axis, 0)
        differences = (lines[:-2] - 2 * lines[1:-1] + lines[2:])[lines[1:-1] > low]
        differences = differences[:: max(1, differences.size // _NOISE_SAMPLES)]
        if differences.size:
            found.append(1.4826 * float(np.median(np.abs(differences))) / np.sqrt(6))
    return min(found, default=0.0)


FORMAT, VERSION = "memorizing-sam3d pack", 1
MARGIN_MM = 12.0  # of what is kept around the body
_INDEX = "pack.json"
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]
_ALIGNED = 64
_DAMAGED = "Make it again: memorizing-sam3d data pack."
Progress = Callable[[int, int], None]


def is_pack(path: Path) -> bool:
    """Whether a file is a zip archive, as packs are and manifests are not."""
    return path.is_file() and zipfile.is_zipfile(path)


def write_pack(folder: Path, entries: Sequence[Entry], path: Path, noise_steps: float = 1.0,
               progress: Progress | None = None) -> None:  # fmt: skip
    """Packs cases, in a folder that is made if need be; a file that was there survives any failure.

    Args:
        folder: of the manifest. noise_steps: see :meth:`.Quantisation.of`.

    Raises:
        DataError: a case cannot be used. OutputError: the pack cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            index: list[dict[str, Any]] = []
            for number, entry in enumerate(entries):
                case = load_case(folder, entry)
                index.append(_add(archive, number, case, entry, noise_steps))
                if progress:
                    progress(number + 1, len(entries))
            document = {"format": FORMAT, "version": VERSION, "cases": index}
            archive.writestr(_INDEX, _compressed(json.dumps(document).encode()))
        os.replace(partial, path)
    except OSError as error:
        raise OutputError(
            f"The pack {path} cannot be written ({error.strerror or error}).", "Check the free space and permissions."
        ) from error
    finally:
        with suppress(OSError):  # the folder may be none
            partial.unlink()


def read_pack(path: Path) -> list[Entry]:
    """The manifest's entries in a pack.

    Raises:
        DataError: the file is missing, damaged or no pack of this version.
    """
    return [packed["entry"] for packed in _index(path)]


def load_pack(path: Path, entries: Sequence[Entry], cache: Path, progress: Progress | None = None) -> list[Case]:
    """Cases of a pack, their voxels mapped from the pack's expanded form, which is made once.

    Args:
        entries: some of :func:`read_pack`'s. cache: the folder that holds expanded packs.

    Raises:
        DataError: as :func:`read_pack`. OutputError: the expanded form cannot be written.
    """
    index = _index(path)
    places, size = _places(index)
    expanded = cache / f"{_digest(path)}.voxels"
    if not (expanded.is_file() and expanded.stat().st_size == size):
        _expand(path, index, places, size, expanded, progress)
    elif progress:
        progress(len(index), len(index))
    # Copy-on-write: PyTorch wants arrays that could be written to; nothing ever reaches the file.
    voxels = np.memmap(expanded, mode="c", dtype=np.uint8)
    wanted = {entry["id"] for entry in entries}
    return [
        _case(packed, voxels, place)
        for packed, place in zip(index, places, strict=True)
        if packed["entry"]["id"] in wanted
    ]


def _add(archive: zipfile.ZipFile, number: int, case: Case, entry: Entry, noise_steps: float) -> dict[str, Any]:
    box = _kept_box(case)
    image, labels = case.image[box], case.labels[box]
    quantisation = Quantisation.of(image, case.modality, noise_steps)
    codes = quantisation.encoded(image)
    axis = _smoothest_axis(codes)
    body = np.packbits(case.mask(FOREGROUND, box))
    streams = (("image", _differences(codes, axis)), ("labels", labels), ("body", body))
    for name, array in streams:
        archive.writestr(f"{number}.{name}", _compressed(np.ascontiguousarray(array).tobytes()))
    kept = {key: value for key, value in entry.items() if key not in ("image", "label", "bytes")}
    kept |= {"shape": list(image.shape), "spacing": [float(s) for s in case.spacing]}
    return {
        "entry": kept, "modality": case.modality, "dtype": image.dtype.str, "axis": axis,
        "companding": asdict(quantisation),
    }  # fmt: skip


def _kept_box(case: Case) -> tuple[slice, slice, slice]:
    boxes = [occupied_box(case.image)]
    for label in case.structures:
        target = case.target(label)
        boxes.append(tuple(slice(int(a), int(b)) for a, b in zip(target.low, target.high, strict=True)))  # type: ignore[arg-type]
    kept = []
    for axis, (count, spacing) in enumerate(zip(case.image.shape, case.spacing, strict=True)):
        margin = int(np.ceil(MARGIN_MM / spacing))
        low, high = min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)
        kept.append(slice(max(0, low - margin), min(count, high + margin)))
    return tuple(kept)  # type: ignore[return-value]


def _smoothest_axis(codes: np.ndarray) -> int | None:
    """The axis whose differences take the fewest bits (order-0 entropy), or None when the codes themselves do."""
    bits = {axis: _entropy(_differences(codes, axis)) for axis in (None, 0, 1, 2)}
    return min(bits, key=bits.__getitem__)


def _entropy(array: np.ndarray) -> float:
    shares = np.bincount(array.ravel(), minlength=256) / array.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())


def _differences(codes: np.ndarray, axis: int | None) -> np.ndarray:
    """Modulo 256; undone by the running sum."""
    if axis is None:
        return codes
    return np.diff(codes, axis=axis, prepend=np.zeros_like(codes.take([0], axis)))


def _compressed(content: bytes) -> bytes:
    return lzma.compress(content, format=lzma.FORMAT_XZ, filters=_FILTERS)


def _index(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"There is no training pack {path}.", "Check the path.")
    try:
        with zipfile.ZipFile(path) as archive:
            document = json.loads(lzma.decompress(archive.read(_INDEX)))
        found = document["format"], document["version"]
        cases: list[dict[str, Any]] = document["cases"]
        check_entries([packed["entry"] for packed in cases], str(path))
    except (OSError, KeyError, TypeError, ValueError, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no training pack, or damaged ({error}).", _DAMAGED) from error
    if found != (FORMAT, VERSION):
        raise DataError(f"{path} is a {found[0]} of version {found[1]}, which this program cannot read.", _DAMAGED)
    return cases


def _places(index: Sequence[dict[str, Any]]) -> tuple[list[dict[str, tuple[int, int]]], int]:
    """First and last byte of every array in the expanded file, and the size of the file."""
    places, end = [], 0
    for packed in index:
        voxels = int(np.prod(packed["entry"]["shape"]))
        sizes = {"image": voxels * np.dtype(packed["dtype"]).itemsize, "labels": voxels, "body": -(-voxels // 8)}
        place = {}
        for name, size in sizes.items():
            place[name] = (end, end + size)
            end += size + -size % _ALIGNED
        places.append(place)
    return places, end


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:24]


def _expand(path: Path, index: Sequence[dict[str, Any]], places: Sequence[dict[str, tuple[int, int]]], size: int,
            target: Path, progress: Progress | None) -> None:  # fmt: skip
    partial: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(target.parent).free < size:
            raise OSError(None, f"{size / 1e6:.0f} MB are needed")
        handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
        partial = Path(name)
        with zipfile.ZipFile(path) as archive, os.fdopen(handle, "wb") as file:
            file.truncate(size)
            for number, (packed, place) in enumerate(zip(index, places, strict=True)):
                for part, array in _expanded(archive, number, packed).items():
                    file.seek(place[part][0])
                    file.write(array.tobytes())
                if progress:
                    progress(number + 1, len(index))
        os.replace(partial, target)
    except (KeyError, ValueError, EOFError, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise DataError(f"The training pack {path} is damaged ({error}).", _DAMAGED) from error
    except OSError as error:
        raise OutputError(
            f"The training pack cannot be expanded into {target.parent} ({error.strerror or error}).",
            "Make room there, or choose another folder with --cache.",
        ) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def _expanded(archive: zipfile.ZipFile, number: int, packed: dict[str, Any]) -> dict[str, np.ndarray]:
    image, labels, body = (
        np.frombuffer(lzma.decompress(archive.read(f"{number}.{name}")), dtype=np.uint8)
        for name in ("image", "labels", "body")
    )
    codes = image.reshape(packed["entry"]["shape"])
    if packed["axis"] is not None:
        codes = np.cumsum(codes, axis=packed["axis"], dtype=np.uint8)
    decoded = Quantisation(**packed["companding"]).decoded(codes, np.dtype(packed["dtype"]))
    if labels.size != codes.size or body.size != -(-codes.size // 8):
        raise ValueError(f"case {number} is incomplete")
    return {"image": decoded, "labels": labels, "body": body}


def _case(packed: dict[str, Any], voxels: np.ndarray, place: dict[str, tuple[int, int]]) -> Case:
    entry = packed["entry"]
    shape = tuple(entry["shape"])
    image, labels, body = (voxels[slice(*place[name])] for name in ("image", "labels", "body"))
    r, a, s = entry["spacing"]
    return Case(
        entry["id"], entry["dataset"], packed["modality"], image.view(np.dtype(packed["dtype"])).reshape(shape),
        labels.reshape(shape), (r, a, s), {int(k): v["name"] for k, v in entry["labels"].items()}, body,
    )  # fmt: skip


@dataclass(frozen=True)
class Collection:
    """Cases that can be loaded.

    Attributes:
        path: of the manifest or the pack. entries: of all its cases.
    """

    path: Path
    entries: list[Entry]
    packed: bool

    @classmethod
    def open(cls, path: Path) -> Collection:
        """A manifest or a pack.

        Raises:
            DataError: it is neither, or damaged.
        """
        packed = is_pack(path)
        return cls(path, read_pack(path) if packed else read_manifest(path), packed)

    def load(self, entries: Sequence[Entry], cache: Path,
             progress: Callable[[int, int], None] | None = None) -> list[Case]:  # fmt: skip
        """The cases of some entries; ``progress(done, total)`` after each.

        Args:
            cache: the folder that a pack is expanded into.

        Raises:
            DataError: a case cannot be used. OutputError: a pack cannot be expanded.
        """
        if self.packed:
            return load_pack(self.path, entries, cache, progress)
        return load_cases(self.path, entries, progress)
