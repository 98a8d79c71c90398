"""Checkpoints of both families: saved, loaded, converted and described. A checkpoint carries its own configuration."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import CheckpointError
from ..networks.config import Family, NetworkConfig, fastsam3d_config, sam_med3d_config
from ..networks.sam3d import SAM3D, PublishedSAM3D, build_network
from .download import converted_path, model_path
from .published_file import Kind, PublishedFamily, read_published
from .registry import ModelEntry, describe_file, known_models
from .weights_file import Precision, WeightsFile, compare_tensors, without_values, write_weights

FORMAT = "memorizing-sam3d"
FORMAT_VERSION = 1
_PUBLISHED_SUFFIXES = (".pth", ".pt")
_PUBLISHED: dict[PublishedFamily, Callable[[], NetworkConfig]] = {
    "sam_med3d": sam_med3d_config,
    "fastsam3d": fastsam3d_config,
}
_KINDS: dict[str | None, Kind] = {"segmentation": "segmentation", "encoder": "encoder"}
_ENCODER = "image_encoder."


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A network with what is known of it.

    Attributes:
        network: on the CPU, in evaluation mode.
        config: of the network.
        training: what the training wrote about itself (empty for a converted checkpoint).
        path: the file that was read. sha256: its hash; a case memory belongs to it.
        entry: the registered model, if it is one.
    """

    network: SAM3D
    config: NetworkConfig
    training: dict[str, Any]
    path: Path
    sha256: str
    entry: ModelEntry | None


def build_published(family: PublishedFamily) -> PublishedSAM3D:
    """A published network with fresh weights; names and shapes of its tensors are those of published checkpoints."""
    return PublishedSAM3D(_PUBLISHED[family]())


def save_native(network: SAM3D, path: Path, training: Mapping[str, Any], precision: Precision = "float16",
                levels: Mapping[str, int] | None = None) -> None:  # fmt: skip
    """Saves a network with its configuration. A file that was there survives any failure.

    Args:
        network: any network of this package; its ``config`` goes along.
        path: the target, ``.safetensors``.
        training: JSON-ready facts about the training: data, steps, scores.
        precision: ``float32``, ``float16`` or ``int8`` (about half the size of float16).
        levels: of ``int8``, by the beginning of tensors' names; see :func:`.weights_file.write_weights`.

    Raises:
        OutputError: it cannot be written there.
        CheckpointError: the weights are not finite.
    """
    transposed = {
        f"{name}.weight": 1 for name, module in network.named_modules() if isinstance(module, nn.ConvTranspose3d)
    }
    metadata = _describe(network.config, "segmentation", precision, training=training)
    write_weights(path, network.state_dict(), metadata, precision, transposed, levels)


def load(
    source: str | Path, family: Family | None = None, sha256: str | None = None, cache: Path | None = None
) -> Checkpoint:
    """A checkpoint, ready for inference: a registered model by name, or a file (native, converted, or published).

    A published ``.pth`` is converted once; the converted form is kept in the cache folder.

    Args:
        source: the name of a registered model that is there, or a path.
        family: refuse any other.
        sha256: refuse a file with another hash. That of a registered model is always checked.
        cache: the cache folder, if not the usual one.

    Raises:
        CheckpointError: missing, truncated, not ours, of the wrong family, with a wrong hash, or an encoder only.
    """
    path, entry = _locate(source, cache)
    facts = describe_file(path)
    for expected in (sha256, entry.sha256 if entry else None):
        if expected is not None and facts.sha256 != expected.lower():
            raise CheckpointError(
                f"The SHA-256 of {path} is wrong: the file was changed or damaged.",
                f"Remove it and download it again: Models in Slicer's panel, or memorizing-sam3d checkpoint download "
                f"{entry.name}."
                if entry and not entry.shipped
                else "Copy it or install it again.",
            )
    entry = entry or known_models().with_hash(facts.sha256)
    readable = path
    if path.suffix.lower() in _PUBLISHED_SUFFIXES:
        readable = converted_path(path, facts.sha256, cache)
        if not readable.is_file():
            convert_published(path, readable, _published_family(entry))
    file, config, kind = _open(readable)
    if family is not None and config.family != family:
        raise CheckpointError(
            f"{path} holds a network of the family {config.family}, not {family}.", f"Give a checkpoint of {family}."
        )
    if kind == "encoder":
        raise CheckpointError(
            f"{path} holds an image encoder only: without a prompt encoder and a mask decoder it cannot segment.",
            "Give a complete checkpoint. (An encoder alone can start a training.)",
        )
    with without_values():
        network = _build(config, path)
    _fill(network, file, "")
    return Checkpoint(network.eval(), config, _json(file, "training"), path, facts.sha256, entry)


def load_default() -> Checkpoint:
    """The model that comes with this package: the registry's first shipped one.

    Raises:
        CheckpointError: its file is missing from this installation, or was changed.
    """
    return load(next(entry.name for entry in known_models() if entry.shipped))


def convert_published(source: Path, target: Path, family: PublishedFamily | None = None) -> None:
    """Converts a published ``.pth`` to safetensors with its configuration; see :func:`.published_file.read_published`.

    Args:
        source: SAM-Med3D's or FastSAM3D's file, in any of its wrappings.
        target: the new file, ``.safetensors``.
        family: only where the tensors do not tell the families apart.

    Raises:
        CheckpointError: the source cannot be used, or its tensors are not exactly those of its network.
        OutputError: the target cannot be written.
    """
    published = read_published(source, family)
    with without_values():
        expected = _build(published.config, source).state_dict()
    if published.kind == "encoder":
        expected = {name: tensor for name, tensor in expected.items() if name.startswith(_ENCODER)}
    shapes = {name: tuple(tensor.shape) for name, tensor in published.tensors.items()}
    compare_tensors(str(source), shapes, {name: tensor.shape for name, tensor in expected.items()})
    origin = {"file": source.name, "sha256": describe_file(source).sha256}
    metadata = _describe(published.config, published.kind, "float32", origin=origin)
    write_weights(target, published.tensors, metadata)


def inspect(source: str | Path, cache: Path | None = None) -> dict[str, Any]:
    """What a checkpoint is, without building its network.

    Returns:
        path, size (bytes), sha256, family, kind, precision, format_version (None for a published file), parameters,
        config, training, origin (what it was converted from), name and licence (None when it is not a known model).

    Raises:
        CheckpointError: the file cannot be read as a checkpoint.
    """
    path, entry = _locate(source, cache)
    facts = describe_file(path)
    found: dict[str, Any] = {"path": str(path), **facts._asdict()}
    if path.suffix.lower() in _PUBLISHED_SUFFIXES:
        published = read_published(path, _published_family(entry or known_models().with_hash(facts.sha256)))
        config, kind = published.config, published.kind
        found |= {"precision": "as published", "format_version": None, "training": {}, "origin": {}}
        found["parameters"] = sum(tensor.numel() for tensor in published.tensors.values())
    else:
        file, config, kind = _open(path)
        found |= {"precision": file.metadata.get("precision"), "format_version": FORMAT_VERSION}
        found |= {"training": _json(file, "training"), "origin": _json(file, "origin")}
        found["parameters"] = file.parameters
    known = known_models().with_hash(found["origin"].get("sha256", facts.sha256))
    return found | {
        "family": config.family,
        "kind": kind,
        "config": config.to_dict(),
        "name": known.name if known else None,
        "licence": known.licence if known else None,
    }


def _locate(source: str | Path, cache: Path | None) -> tuple[Path, ModelEntry | None]:
    if isinstance(source, str) and source in known_models():
        entry = known_models().find(source)
        path = model_path(entry, cache)
        if not path.is_file():
            raise CheckpointError(
                f"{entry.title} is not on this computer yet.",
                f"Download it: Models in Slicer's panel, or memorizing-sam3d checkpoint download {entry.name}.",
            )
        return path, entry
    path = Path(source).expanduser()
    if not path.is_file():
        names = ", ".join(entry.name for entry in known_models())
        raise CheckpointError(f"There is no checkpoint {path}.", f"Give a file, or the name of a known model: {names}.")
    return path, next((entry for entry in known_models() if _is_the_file_of(entry, path, cache)), None)


def _is_the_file_of(entry: ModelEntry, path: Path, cache: Path | None) -> bool:
    if entry.file != path.name:
        return False
    place = model_path(entry, cache)
    return place.exists() and place.samefile(path)


def _published_family(entry: ModelEntry | None) -> PublishedFamily | None:
    return next((family for family in _PUBLISHED if entry is not None and entry.family == family), None)


def _describe(
    config: NetworkConfig,
    kind: Kind,
    precision: Precision,
    training: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    values = {"config": config.to_dict(), "training": dict(training or {}), "origin": dict(origin or {})}
    texts = {key: json.dumps(value, ensure_ascii=False, separators=(",", ":")) for key, value in values.items()}
    plain = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "family": config.family}
    return plain | {"kind": kind, "precision": precision} | texts


def _open(path: Path) -> tuple[WeightsFile, NetworkConfig, Kind]:
    file = WeightsFile(path)
    if file.metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file, but no checkpoint of MemorizingSAM3D: it carries no configuration.",
            "Convert the published .pth: memorizing-sam3d checkpoint convert",
        )
    version = file.metadata.get("format_version", "")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path} has the format version {version or 'none'}; this program reads version {FORMAT_VERSION}.",
            "Update MemorizingSAM3D.",
        )
    config = NetworkConfig.from_dict(_json(file, "config"))
    kind = _KINDS.get(file.metadata.get("kind"))
    if kind is None or file.metadata.get("family") != config.family:
        raise _contradicts(path)
    return file, config, kind


def _json(file: WeightsFile, key: str) -> dict[str, Any]:
    try:
        value = json.loads(file.metadata.get(key, "{}"))
    except (ValueError, RecursionError) as error:
        raise _contradicts(file.path) from error
    if not isinstance(value, dict):
        raise _contradicts(file.path)
    return value


def _contradicts(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} describes itself wrongly.", "The file is damaged or not ours: take another copy.")


def _build(config: NetworkConfig, path: Path) -> SAM3D:
    try:
        return build_network(config)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError, AttributeError) as error:
        raise CheckpointError(
            f"The configuration in {path} makes no network ({error}).",
            "The file is damaged or of another version: take another copy.",
        ) from error


def _fill(module: nn.Module, file: WeightsFile, prefix: str) -> None:
    """Gives a module on the meta device its weights: nothing is initialised only to be overwritten."""
    expected = {prefix + name: tensor.shape for name, tensor in module.state_dict().items()}
    tensors = {name.removeprefix(prefix): tensor for name, tensor in file.read(expected).items()}
    module.load_state_dict(tensors, strict=True, assign=True)
    left = [tensor for tensor in itertools.chain(module.parameters(), module.buffers()) if tensor.is_meta]
    assert not left, "a buffer is not in the state dict: it would stay without values"
