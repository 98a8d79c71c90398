"""The container of weights: safetensors with bounded, checked headers, written atomically, optionally quantised.

Precisions:
    float32: as it is. float16: matrices and kernels in half precision, the rest as it is.
    int8: matrices and kernels as integers -127..127 with one float32 scale an output channel (``<name>.scale``),
    symmetric around 0; other large tensors in half precision; small ones as they are.

What an image encoder is known by: memories belong to the encoder that wrote them.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import CheckpointError, OutputError
from ..networks.sam3d import SAM3D

Precision = Literal["float32", "float16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "float16", "int8")
_MOST_HEADER = 8 * 2**20  # bytes; a network of 324 tensors has 40 kB
_MOST_METADATA = 2**20  # characters
_MOST_LEVELS = 127
_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # of the largest weight, that are tried
_SMALL = 4096  # elements: tensors below this are not worth rounding
_FLOATS = ("F32", "F16", "BF16")
_SCALE = ".scale"
_DAMAGED = "Copy or download it again."
# What gives a fresh tensor its values, in torch.nn.init and in modules' own __init__.
_INITIALISERS = (
    Tensor.uniform_, Tensor.normal_, Tensor.zero_, Tensor.fill_, Tensor.erfinv_, Tensor.mul_, Tensor.add_,
    Tensor.clamp_,
)  # fmt: skip


class _NoInitialisers(TorchFunctionMode):
    def __torch_function__(self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (),
                           kwargs: dict[str, Any] | None = None) -> Any:  # fmt: skip
        if getattr(function, "__module__", None) == torch.nn.init.__name__:  # some are seen as a whole
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        if function in _INITIALISERS and args[0].is_meta:
            return args[0]
        if function is torch.randn:
            return torch.empty(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


@contextmanager
def without_values() -> Iterator[None]:
    """Modules that are built in it have shapes but no values: they lie on the meta device until they are filled.

    Their initialisers are left out. On the meta device those cost a second and import ``torch._dynamo``, and with
    PyTorch's CUDA build triton, whose LLVM ends a Linux process that has rendered with Mesa.
    """
    with torch.device("meta"), _NoInitialisers():
        yield


class Stored(NamedTuple):
    """How a tensor lies in the file: shape and safetensors' name of its type."""

    shape: tuple[int, ...]
    dtype: str


class WeightsFile:
    """A safetensors file, opened and checked but not yet read: nothing is allocated for its tensors.

    Args:
        path: the file.

    Raises:
        CheckpointError: missing, empty, truncated, not safetensors, or with a header that is too large or lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _check_header_length(path)
        try:
            with safe_open(path, framework="pt") as file:
                self.metadata: dict[str, str] = file.metadata() or {}
                slices = {name: file.get_slice(name) for name in file.keys()}
                self._stored = {name: Stored(tuple(s.get_shape()), s.get_dtype()) for name, s in slices.items()}
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(f"{path} is truncated or damaged ({error}).", _DAMAGED) from error
        if sum(len(key) + len(value) for key, value in self.metadata.items()) > _MOST_METADATA:
            raise CheckpointError(f"{path} describes itself at excessive length.", "It is not ours: take another file.")
        self._scales = {
            name for name in self._stored if name.endswith(_SCALE) and self._dtype(name.removesuffix(_SCALE)) == "I8"
        }

    @property
    def parameters(self) -> int:
        """Numbers in the network (scales not counted)."""
        sizes = (torch.Size(stored.shape).numel() for name, stored in self._stored.items() if name not in self._scales)
        return sum(sizes)

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return name in self._stored and name not in self._scales

    def read(self, expected: Mapping[str, torch.Size]) -> dict[str, Tensor]:
        """Every tensor, as float32.

        Args:
            expected: name and shape of each tensor that the network has. All is compared before anything is read.

        Raises:
            CheckpointError: a tensor is missing, unknown, of another shape or type, or holds NaN or infinity.
        """
        names = set(self._stored) - self._scales
        compare_tensors(str(self.path), {name: self._stored[name].shape for name in names}, expected)
        for name in names:
            self._check_type(name)
        tensors = {}
        with safe_open(self.path, framework="pt") as file:
            for name in names:
                tensor = file.get_tensor(name).to(torch.float32)
                if self._dtype(name) == "I8":
                    tensor = tensor * file.get_tensor(name + _SCALE)
                if not torch.isfinite(tensor).all():
                    raise CheckpointError(f"{self.path} holds numbers that are not finite, in {name}.", _DAMAGED)
                tensors[name] = tensor.clone()  # not a view of the mapped file, which Windows would keep locked
        return tensors

    def _dtype(self, name: str) -> str | None:
        stored = self._stored.get(name)
        return stored.dtype if stored else None

    def _check_type(self, name: str) -> None:
        shape, dtype = self._stored[name]
        if dtype in _FLOATS:
            return
        scale = self._stored.get(name + _SCALE)
        fits = (
            dtype == "I8"
            and scale is not None
            and scale.dtype == "F32"
            and len(scale.shape) == len(shape)
            and all(s in (1, n) for s, n in zip(scale.shape, shape, strict=True))
        )
        if not fits:
            raise CheckpointError(f"{self.path} stores {name} in a way that is not ours ({dtype}).", _DAMAGED)


def compare_tensors(what: str, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, torch.Size]) -> None:
    """Refuses a file unless its tensors are exactly those of the network.

    Raises:
        CheckpointError: naming what is missing, left over or of another shape.
    """
    missing = [name for name in expected if name not in found]
    unknown = [name for name in found if name not in expected]
    other = [
        f"{name} is {tuple(found[name])}, not {tuple(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    problems = [
        f"{len(names)} {label} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for label, names in (("missing", missing), ("unknown", unknown), ("of another shape", other))
        if names
    ]
    if problems:
        raise CheckpointError(
            f"The tensors of {what} do not fit its network: {'; '.join(problems)}.",
            "The file is of another family or version: take another one, or name its family.",
        )


def write_weights(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    precision: Precision = "float32",
    output_axes: Mapping[str, int] | None = None,
    levels: Mapping[str, int] | None = None,
) -> None:
    """Writes a weights file; whatever happens, `path` is either the old file or the whole new one.

    Args:
        path: the target; its folder is made if need be.
        tensors: floating-point tensors on any device.
        metadata: strings.
        precision: see the module's docstring.
        output_axes: the axis of the output channels where it is not 0 (transposed convolutions: 1).
        levels: the largest integer of ``int8`` for tensors whose names begin so (the longest beginning counts), else
            127. Fewer levels make no smaller file, but one that packs smaller.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full.
        CheckpointError: a weight is not finite, or too large for half precision.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        stored |= _stored_form(
            name, tensor.detach().to("cpu", torch.float32), precision, (output_axes or {}).get(name, 0),
            _levels_of(name, levels or {}),
        )  # fmt: skip
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, file = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(file)
        save_file(stored, temporary, dict(metadata))
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)  # mkstemp's files are for their owner alone
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"{path} cannot be written ({getattr(error, 'strerror', None) or error}).",
            "Check that the folder exists, may be written to and has room; what was there before is unchanged.",
        ) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _levels_of(name: str, levels: Mapping[str, int]) -> int:
    begun = [beginning for beginning in levels if name.startswith(beginning)]
    return levels[max(begun, key=len)] if begun else _MOST_LEVELS


def _stored_form(name: str, tensor: Tensor, precision: Precision, output_axis: int,
                 levels: int) -> dict[str, Tensor]:  # fmt: skip
    if not torch.isfinite(tensor).all():
        raise CheckpointError(f"The network holds numbers that are not finite, in {name}.", "Its training diverged.")
    tensor = tensor.clone(memory_format=torch.contiguous_format)  # safetensors takes no views and no shared memory
    if precision == "float32" or tensor.ndim < 2 or tensor.numel() < _SMALL:
        return {name: tensor}
    if precision == "float16" or not name.endswith("weight"):
        half = tensor.half()
        if not torch.isfinite(half).all():
            raise CheckpointError(f"{name} holds numbers beyond half precision.", "Save it as float32.")
        return {name: half}
    others = [axis for axis in range(tensor.ndim) if axis != output_axis]
    largest = tensor.abs().amax(dim=others, keepdim=True)
    scale = torch.where(largest > 0, largest / levels, torch.ones_like(largest))
    if levels < _MOST_LEVELS:
        scale = _least_error(tensor, scale, levels, others)
    return {name: _rounded(tensor, scale, levels).to(torch.int8), name + _SCALE: scale}


def _rounded(tensor: Tensor, scale: Tensor, levels: int) -> Tensor:
    return (tensor / scale).round().clamp(-levels, levels)


def _least_error(tensor: Tensor, scale: Tensor, levels: int, others: list[int]) -> Tensor:
    """The scale of each channel at which rounding costs least: with few levels it pays to cut off the largest."""
    best, best_error = scale, torch.full_like(scale, float("inf"))
    for share in _SHARES:
        tried = scale * share
        error = (_rounded(tensor, tried, levels) * tried - tensor).square().sum(dim=others, keepdim=True)
        best, best_error = torch.where(error < best_error, tried, best), torch.minimum(error, best_error)
    return best


def _check_header_length(path: Path) -> None:
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            brace = file.read(1)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint {path} cannot be read ({error.strerror}).", "Check the path and the permissions."
        ) from error
    if size == 0:
        raise CheckpointError(f"The checkpoint {path} is empty.", _DAMAGED)
    if brace != b"{" or length > _MOST_HEADER:
        raise CheckpointError(
            f"{path} is not a safetensors file, whatever its name says.",
            "Give a checkpoint of MemorizingSAM3D, or convert a published .pth: memorizing-sam3d checkpoint convert",
        )
    if 8 + length > size:
        raise CheckpointError(f"The checkpoint {path} is truncated: it ends inside its header.", _DAMAGED)


def encoder_fingerprint(network: SAM3D) -> str:
    """SHA-256 (hexadecimal) of an image encoder's weights, in float32, by name.

    The same for one model on every device and in every precision it is held in float32 for; another when a single
    weight differs. A memory's keys and values mean something to the encoder with this fingerprint alone.
    """
    return weights_fingerprint(network.image_encoder)


def weights_fingerprint(module: nn.Module) -> str:
    """SHA-256 (hexadecimal) of all tensors of a module, by name, shape and float32 values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()
