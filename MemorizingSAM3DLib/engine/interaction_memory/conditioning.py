"""Writing and hearing past interactions in a session: what a predictor asks of an interaction memory.

The weights of an interaction memory: one safetensors file that belongs to one image encoder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..files import resource_path
from ..geometry import CropGrid
from ..models.weights_file import (
    Precision,
    WeightsFile,
    encoder_fingerprint,
    weights_fingerprint,
    without_values,
    write_weights,
)
from ..networks.image_encoder import ImageFeatures
from ..networks.memory_attention import InteractionConfig, MemoryAttention, conditioned
from ..networks.sam3d import SAM3D, build_network
from ..prompts import Click
from ..runtime.cuda_graphs import GraphedCalls
from ..runtime.device import Runtime
from .bank import Interaction, InteractionBank

FORMAT = "memorizing-sam3d-interaction-memory"
FORMAT_VERSION = 1
SHIPPED_FILES = "interaction_memory_*.safetensors"
_ATTENTION = "memory_attention"
_REPLACEABLE = ("prompt_encoder", "mask_decoder")
_WORTH_LEAVING_OUT = 4096  # numbers


@dataclass(frozen=True, eq=False)
class InteractionMemory:
    """A memory attention, and what was trained along with it.

    Attributes:
        attention: the module, on the CPU, in evaluation mode.
        prompt_encoder, mask_decoder: state dicts that replace the network's own wherever memories are used, or None.
        facts: JSON-ready facts about the training.
        from_first_click: they replace them where nothing is remembered yet, too; else a first click is that of the
            model without memory, bit by bit.
        modalities: kinds of scans in which they are used (``CT``, ``MR``, ``PT``); empty: in all.
    """

    attention: MemoryAttention
    prompt_encoder: Mapping[str, Tensor] | None = None
    mask_decoder: Mapping[str, Tensor] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    from_first_click: bool = False
    modalities: tuple[str, ...] = ()

    @property
    def config(self) -> InteractionConfig:
        """The architecture of the attention."""
        return self.attention.config

    def check_fit(self, network: SAM3D) -> None:
        """Refuses a network with another token grid.

        Raises:
            CheckpointError: its embedding has other channels or another grid.
        """
        own, its = (self.config.channels, self.config.grid), (network.config.embedding_channels, network.config.grid)
        if own != its:
            raise CheckpointError(
                f"The interaction memory is for embeddings of {own[0]} channels on {own[1]} tokens an edge; this model "
                f"has {its[0]} on {its[1]}.",
                "Choose the model that it was trained for, or train another: memorizing-sam3d train-memory",
            )

    def decoding_network(self, network: SAM3D) -> SAM3D:
        """The network that decodes where memories are used: the same image encoder, what was trained along replaced.

        The network itself when nothing was.

        Raises:
            CheckpointError: the memory is for other embeddings.
        """
        self.check_fit(network)
        if self.prompt_encoder is None and self.mask_decoder is None:
            return network
        with without_values():
            other = build_network(network.config)
        other.image_encoder = network.image_encoder
        for part in _REPLACEABLE:
            state = getattr(self, part)
            if state is None:
                setattr(other, part, getattr(network, part))
            else:
                getattr(other, part).load_state_dict({k: v.clone() for k, v in state.items()}, strict=True, assign=True)
        return other.eval().requires_grad_(False)


def save_interaction_memory(path: Path, memory: InteractionMemory, network: SAM3D, precision: Precision = "float16",
                            levels: Mapping[str, int] | None = None) -> None:  # fmt: skip
    """Writes an interaction memory, bound to the image encoder of a network. A file that was there survives a failure.

    Of prompt encoder and mask decoder, large tensors that are the network's own are left out. In ``int8`` the others
    are written as what was added to the network's own, which is so much smaller that few levels tell it well.

    Args:
        path: the target, ``.safetensors``. network: the one that its training began with.
        precision: ``float32``, ``float16`` or ``int8``. levels: of ``int8``, see :func:`.weights_file.write_weights`.

    Raises:
        OutputError: it cannot be written there. CheckpointError: the weights are not finite, or do not fit the network.
    """
    memory.check_fit(network)
    parts = {_ATTENTION: memory.attention.state_dict()}
    parts |= {part: state for part in _REPLACEABLE if (state := getattr(memory, part)) is not None}
    tensors = {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
    state = {name: one.cpu() for name, one in network.state_dict().items()}
    tuned = {name for name, one in tensors.items() if name not in state or not torch.equal(one.cpu(), state[name])}
    own = {name: one for name, one in state.items() if one.numel() >= _WORTH_LEAVING_OUT}
    tensors = {name: one.cpu() for name, one in tensors.items() if name in tuned or name not in own}
    added = precision == "int8"
    if added:
        tensors = {name: one - own[name] if name in own else one for name, one in tensors.items()}
    transposed = {
        f"{name}.weight": 1 for name, module in network.named_modules() if isinstance(module, nn.ConvTranspose3d)
    }
    replaces = [part for part in parts if part != _ATTENTION]
    texts: dict[str, Any] = {"config": memory.config.to_dict(), "training": dict(memory.facts), "replaces": replaces}
    texts |= {"from_first_click": memory.from_first_click}
    texts |= {"modalities": list(memory.modalities)}
    metadata = {key: json.dumps(value, ensure_ascii=False, separators=(",", ":")) for key, value in texts.items()}
    metadata |= {"format": FORMAT, "format_version": str(FORMAT_VERSION), "precision": precision}
    metadata |= {"added": json.dumps(added)}
    metadata |= {"encoder": encoder_fingerprint(network), "decoder": _decoder_fingerprint(network)}
    write_weights(path, tensors, metadata, precision, transposed, levels)


def load_interaction_memory(path: Path, network: SAM3D) -> InteractionMemory:
    """An interaction memory for a network.

    Raises:
        CheckpointError: missing, damaged, not ours, or made for the image encoder of another model.
    """
    file = _open(path)
    if file.metadata.get("encoder") != encoder_fingerprint(network):
        raise CheckpointError(
            f"{path} was trained with another model: its memories mean nothing to this one's image encoder.",
            "Choose the model that it was trained with, or train one for this: memorizing-sam3d train-memory",
        )
    config = InteractionConfig.from_dict(_json(file, "config", dict))
    replaces = _json(file, "replaces", list)
    if not all(part in _REPLACEABLE for part in replaces):
        raise _contradicts(path)
    with without_values():
        attention = MemoryAttention(config)
    modules: dict[str, nn.Module] = {_ATTENTION: attention} | {part: getattr(network, part) for part in replaces}
    expected = {f"{part}.{name}": t for part in modules for name, t in modules[part].state_dict().items()}
    # What it has not is the network's own, as long as that is the one it was trained with.
    own = {name: tensor for name, tensor in expected.items() if not (file.has(name) or name.startswith(_ATTENTION))}
    added = _json(file, "added", bool) if "added" in file.metadata else False
    if (own or (added and replaces)) and file.metadata.get("decoder") != _decoder_fingerprint(network):
        raise CheckpointError(
            f"{path} changes a part of its model's decoder, and this model has another decoder.",
            "Choose the model that it was trained with, or train one for this: memorizing-sam3d train-memory",
        )
    read = file.read({name: tensor.shape for name, tensor in expected.items() if name not in own})
    tensors = {name: read[name] if name in read else own[name].detach().clone() for name in expected}
    if added:
        for name, tensor in expected.items():
            if name in read and not name.startswith(_ATTENTION) and tensor.numel() >= _WORTH_LEAVING_OUT:
                tensors[name] += tensor.detach().to(tensors[name])
    states = {
        part: {name.removeprefix(part + "."): t for name, t in tensors.items() if name.startswith(part + ".")}
        for part in modules
    }
    attention.load_state_dict(states.pop(_ATTENTION), strict=True, assign=True)
    attention.eval().requires_grad_(False)
    scans = _json(file, "modalities", list) if "modalities" in file.metadata else []
    memory = InteractionMemory(
        attention, states.get("prompt_encoder"), states.get("mask_decoder"), _json(file, "training", dict),
        _json(file, "from_first_click", bool), tuple(map(str, scans)),
    )  # fmt: skip
    memory.check_fit(network)
    return memory


def load_default_interaction_memory(network: SAM3D, folder: Path | None = None) -> InteractionMemory | None:
    """The interaction memory that comes with this package for a network, or None when there is none.

    A file ``interaction_memory_*.safetensors`` in Resources/Models belongs to the encoder whose fingerprint it carries;
    of several, the last by name is taken. One that replaces prompt encoder and mask decoder belongs to those that it
    was trained from, too: a model that was fine-tuned with its encoder frozen keeps its own.

    Args:
        folder: another folder to look in.

    Raises:
        CheckpointError: a file there is damaged.
    """
    files = sorted((folder or resource_path("Models")).glob(SHIPPED_FILES))
    if not files:
        return None
    fingerprint = encoder_fingerprint(network)
    decoder = _decoder_fingerprint(network)
    fitting = [
        path for path in files
        if (about := _open(path).metadata).get("encoder") == fingerprint
        and (about.get("replaces") == "[]" or about.get("decoder", decoder) == decoder)
    ]  # fmt: skip
    return load_interaction_memory(fitting[-1], network) if fitting else None


def _decoder_fingerprint(network: SAM3D) -> str:
    return "".join(weights_fingerprint(getattr(network, part)) for part in _REPLACEABLE)


def _open(path: Path) -> WeightsFile:
    file = WeightsFile(path)
    if file.metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is no interaction memory of MemorizingSAM3D.", "Train one: memorizing-sam3d train-memory"
        )
    version = file.metadata.get("format_version", "none")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path} has the format version {version}; this program reads version {FORMAT_VERSION}.",
            "Update MemorizingSAM3D.",
        )
    return file


def _json(file: WeightsFile, key: str, kind: type) -> Any:
    try:
        value = json.loads(file.metadata[key])
    except (KeyError, ValueError, RecursionError) as error:
        raise _contradicts(file.path) from error
    if not isinstance(value, kind):
        raise _contradicts(file.path)
    return value


def _contradicts(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} describes itself wrongly.", "The file is damaged or not ours: take another copy.")


_MOST_OF_OTHER_CROPS = 4


class InteractionConditioner:
    """An interaction memory on a device, with its bank.

    Args:
        network: the plain one. memory: made for its image encoder. runtime: where it computes, and how precisely.
        size: how many interactions are used.

    Attributes:
        network: the one that decodes where memories are used, and that embeds what is remembered.

    Raises:
        CheckpointError: the memory is for other embeddings than the network's.
    """

    def __init__(self, network: SAM3D, memory: InteractionMemory, runtime: Runtime, size: int) -> None:
        self._plain, self.memory, self.runtime = network, memory, runtime
        self.network = memory.decoding_network(network).to(runtime.device)
        self.attention = memory.attention.eval().requires_grad_(False).to(runtime.device)
        self._half = False
        self._prepared: tuple[ImageFeatures, tuple[Interaction, ...], ImageFeatures] | None = None
        for parameter in [*self.network.parameters(), *self.attention.parameters()]:
            if parameter.ndim == 5:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
        self.resize(size)

    def modules(self) -> set[nn.Module]:
        """Every module that computes here."""
        return {*self.network.modules(), *self.attention.modules()}

    def resize(self, size: int) -> None:
        """Another number of interactions that are used.

        Raises:
            ValueError: it is not 1 to 256.
        """
        self.bank = InteractionBank(self.attention, self.network.prompt_encoder, size, self._half)
        self._prepared = None

    def forget(self) -> None:
        """Forgets all that is kept of interactions."""
        self.bank.clear()
        self._prepared = None

    def halve(self) -> bool:
        """Keeps what is remembered in float16 from now on, the bank's keys and values too.

        Interactions that states of a session hold already stay as they are: nothing is ever written to one.

        Returns:
            False where there is nothing to gain: it is so already, or bfloat16 is no larger.
        """
        if self._half or self.runtime.precision != "float32":
            return False
        self._half = True
        self.resize(self.bank.size)
        return True

    def move_to(self, runtime: Runtime, move: Callable[[nn.Module, torch.device], None]) -> None:
        """Computes there from now on; interactions follow when they are used next.

        Args:
            move: moves a module's weights in place.
        """
        move(self.network, runtime.device)
        move(self.attention, runtime.device)
        self.runtime = runtime
        self.resize(self.bank.size)

    def attended(self, features: ImageFeatures, grid: CropGrid, memories: Sequence[Interaction],
              graphs: GraphedCalls | None = None) -> tuple[SAM3D, ImageFeatures]:  # fmt: skip
        """The network to decode with, and the features that it gets. Without memories: the plain network's own.

        Heard are those made in this crop, and the newest few of others whose click lies in it: these have to be
        embedded anew, and more of them change nothing (docs/evaluation.md).

        Args:
            graphs: replay the attention; None: it is computed.
        """
        memories = self._near(memories, grid)
        if not memories:
            return (self.network if self.memory.from_first_click else self._plain), features
        if graphs is not None:
            stack = self.bank.load_padded(memories, grid)
            return self.network, graphs.condition(self.network, self.attention, features, stack)
        if self._prepared is not None and self._prepared[0] is features and self._prepared[1] == memories:
            return self.network, self._prepared[2]
        return self.network, conditioned(self.network, self.attention, features, self.bank.load(memories, grid))

    def prepare(self, features: ImageFeatures, grid: CropGrid, memories: Sequence[Interaction]) -> None:
        """Conditions a crop's features before the click that will need them: what is remembered is known by then.

        The last ones are kept, for :meth:`attended` of the same crop and memories, which then takes no time.
        """
        if near := self._near(memories, grid):
            self._prepared = features, near, self.attended(features, grid, memories)[1]

    @staticmethod
    def _near(memories: Sequence[Interaction], grid: CropGrid) -> tuple[Interaction, ...]:
        others = [one for one in memories if one.grid != grid and grid.contains(one.click.ras)]
        attended = {one.number for one in others[-_MOST_OF_OTHER_CROPS:]}
        return tuple(one for one in memories if one.grid == grid or one.number in attended)

    def remember(self, features: ImageFeatures, grid: CropGrid, click: Click, logits: np.ndarray,
                 memories: Sequence[Interaction]) -> tuple[Interaction, ...]:  # fmt: skip
        """The memories after one more click: the last N.

        Args:
            features: of the crop. click: in the crop. logits: (m, m, m) that it led to. memories: so far.
        """
        coords = torch.from_numpy(grid.ras_to_index(click.ras)).float()[None, None].to(self.runtime.device)
        labels = torch.tensor([[int(click.positive)]], device=self.runtime.device)
        mask: Tensor = torch.from_numpy(logits).to(self.runtime.device)[None, None]
        sparse, dense = self.network.prompt_encoder.memory_of(coords, labels, features.image, mask)
        if self._half:
            sparse, dense = sparse.half(), dense.half()
        number = memories[-1].number + 1 if memories else 0
        return (*memories, Interaction(number, click, grid, sparse, dense))[-self.bank.size :]
