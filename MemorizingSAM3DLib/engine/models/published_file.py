"""Published ``.pth`` files: opened without running code, unwrapped, and their network read off their tensors."""

from __future__ import annotations

import argparse
import collections
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..networks.config import NetworkConfig

PublishedFamily = Literal["sam_med3d", "fastsam3d"]
Kind = Literal["segmentation", "encoder"]
Shapes = Mapping[str, "tuple[int, ...]"]

# What FastSAM3D's training checkpoint holds beside tensors and plain values: its options, its learning-rate
# schedule and its device. Nothing else is ever constructed while a file is opened.
_ALLOWED: list[Any] = [argparse.Namespace, collections.Counter, torch.device]
_WRAPPERS = ("model_state_dict", "model")
_ENCODER = "image_encoder."
_PATCH = "image_encoder.patch_embed.proj.weight"
_ANOTHER = "Give a checkpoint of SAM-Med3D or FastSAM3D."


class PublishedWeights(NamedTuple):
    """A published checkpoint, unwrapped.

    Attributes:
        config: of its network. kind: ``encoder`` when there is no prompt encoder and no mask decoder.
        tensors: by the names that the network gives them.
    """

    config: NetworkConfig
    kind: Kind
    tensors: dict[str, Tensor]


def read_published(path: Path, family: PublishedFamily | None = None) -> PublishedWeights:
    """Opens a published ``.pth`` file: bare, in ``model_state_dict`` or ``model``, with or without ``module.``.

    Args:
        path: the file.
        family: only where the tensors do not tell the families apart.

    Raises:
        CheckpointError: damaged, of no published family, or with content other than tensors and plain values.
    """
    tensors = _unwrap(_open_safely(path), path)
    encoder_only = _PATCH not in tensors and _PATCH.removeprefix(_ENCODER) in tensors
    if encoder_only:
        tensors = {_ENCODER + name: tensor for name, tensor in tensors.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    kind: Kind = "segmentation" if any(not name.startswith(_ENCODER) for name in shapes) else "encoder"
    return PublishedWeights(detect_config(shapes, str(path), family), kind, tensors)


def detect_config(shapes: Shapes, what: str, family: PublishedFamily | None = None) -> NetworkConfig:
    """The configuration of a published network, from the names and shapes of its tensors.

    Depth follows from the blocks, blocks without attention from a missing ``norm1``, heads and windows from the
    tables of relative positions. The residual form is not visible: it follows from the family.

    Raises:
        CheckpointError: the shapes are of no published network, or do not tell the family.
    """
    if len(shapes.get(_PATCH, ())) != 5:
        names = ", ".join(list(shapes)[:3])
        raise CheckpointError(f"{what} holds no 3D image encoder (its tensors: {names}, ...).", _ANOTHER)
    try:
        return _read_off(shapes, what, family)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{what} holds an image encoder that is of no published network ({error}).", _ANOTHER
        ) from error


def _read_off(shapes: Shapes, what: str, family: PublishedFamily | None) -> NetworkConfig:
    width, _, patch, *_ = shapes[_PATCH]
    grid = shapes["image_encoder.pos_embed"][1]
    depth = _count(shapes, "image_encoder.blocks.")
    with_attention = [block for block in range(depth) if f"image_encoder.blocks.{block}.norm1.weight" in shapes]
    tables = {block: shapes[f"image_encoder.blocks.{block}.attn.rel_pos_d"] for block in with_attention}
    edges = {block: (length + 1) // 2 for block, (length, _) in tables.items()}
    windows = {edge for edge in edges.values() if edge != grid}
    first = with_attention[0]
    if len(windows) > 1 or with_attention != list(range(first, depth)):
        raise ValueError("its blocks are mixed in an unknown way")
    looks_like: PublishedFamily | None = None
    if bool(windows) != bool(first):
        looks_like = "sam_med3d" if windows else "fastsam3d"
    if family is not None and looks_like not in (None, family):
        raise CheckpointError(
            f"The tensors of {what} are those of a {looks_like} network, not of a {family} one.", "Give no family."
        )
    family = family or looks_like
    if family is None:
        raise CheckpointError(
            f"The tensors of {what} do not tell whether it is a SAM-Med3D or a FastSAM3D network.",
            "Name it: --family sam_med3d or --family fastsam3d.",
        )
    config = NetworkConfig(
        family=family,
        image_size=grid * patch,
        patch_size=patch,
        width=width,
        depth=depth,
        heads=width // tables[first][1],
        mlp_ratio=shapes["image_encoder.blocks.0.mlp.lin1.weight"][0] / width,
        attention_from=first,
        window=max(windows, default=0),
        global_blocks=tuple(block for block, edge in edges.items() if edge == grid) if windows else (),
        residual="pre_norm" if family == "sam_med3d" else "normed_stream",
        embedding_channels=shapes["image_encoder.neck.0.weight"][0],
    )
    decoder = "mask_decoder.transformer.layers."
    if f"{decoder}0.mlp.lin1.weight" in shapes:
        upscaling = "mask_decoder.output_upscaling."
        config = config.with_(
            decoder_depth=_count(shapes, decoder),
            decoder_mlp=shapes[f"{decoder}0.mlp.lin1.weight"][0],
            upscale_channels=(shapes[f"{upscaling}0.weight"][1], shapes[f"{upscaling}3.weight"][1]),
        )
    return NetworkConfig.from_dict(config.to_dict())  # refuses dimensions out of range


def _count(shapes: Shapes, prefix: str) -> int:
    numbers = {int(name[len(prefix) :].split(".")[0]) for name in shapes if name.startswith(prefix)}
    if numbers != set(range(len(numbers))):
        raise ValueError(f"{prefix}* are not numbered from 0 on")
    return len(numbers)


def _open_safely(path: Path) -> object:
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}.", "Check the path.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"The checkpoint {path} is empty.", "Copy or download it again.")
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # on a damaged file PyTorch's restricted unpickler fails in any way there is
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            raise CheckpointError(
                f"{path} wants to run or construct {code[1]} and was not opened.",
                "A checkpoint needs only tensors. Take it from its authors' page, or ask them for the weights alone.",
            ) from error
        raise CheckpointError(
            f"{path} is truncated, damaged or no PyTorch checkpoint.", "Copy or download it again."
        ) from error


def _unwrap(content: object, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    is_state = isinstance(content, Mapping) and bool(content)
    if not is_state or not all(
        isinstance(name, str) and isinstance(tensor, Tensor)
        for name, tensor in cast("Mapping[Any, Any]", content).items()
    ):
        raise CheckpointError(f"{path} holds no network's weights.", _ANOTHER)
    tensors = cast("Mapping[str, Tensor]", content)
    if any(not tensor.is_floating_point() or tensor.layout != torch.strided for tensor in tensors.values()):
        raise CheckpointError(f"{path} holds tensors that are no plain floating-point weights.", _ANOTHER)
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return dict(tensors)
