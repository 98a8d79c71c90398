"""What was learned of how much each attention head listens to remembered cases: a number a head, in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..fingerprint import encoder_fingerprint
from ..networks.sam3d import SAM3D
from ..weights_file import WeightsFile, write_weights

_FORMAT, _VERSION = "memorizing-sam3d case gates", 1
_MOST_LAYERS = 64
_OURS = "Choose a file of memorizing-sam3d train-gates."


@dataclass(frozen=True, eq=False)
class CaseGates:
    """Gates of a joint softmax over local and remembered keys (:class:`.memorizing_attention.MemorizingAttention`).

    Attributes:
        gates: (heads,) float32 of each block, by its number: what is added to the logits of remembered keys.
        encoder: fingerprint of the encoder that they were learned for.
    """

    gates: Mapping[int, Tensor]
    encoder: str

    def save(self, path: Path) -> None:
        """Writes them as safetensors.

        Raises:
            OutputError: the file cannot be written. CheckpointError: a gate is not finite.
        """
        facts = {"version": _VERSION, "encoder": self.encoder, "layers": sorted(self.gates)}
        tensors = {f"gate.{layer}": gate for layer, gate in self.gates.items()}
        write_weights(path, tensors, {"format": _FORMAT, "facts": json.dumps(facts)})

    @classmethod
    def load(cls, path: Path, network: SAM3D) -> CaseGates:
        """Reads those of a network.

        Raises:
            CheckpointError: the file is missing, damaged, something else, or for another encoder.
        """
        file = WeightsFile(path)
        try:
            facts = json.loads(file.metadata["facts"])
            layers, encoder = [int(layer) for layer in facts["layers"]], str(facts["encoder"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} holds no gates of a case memory.", _OURS) from error
        if file.metadata.get("format") != _FORMAT or not 1 <= len(layers) <= _MOST_LAYERS:
            raise CheckpointError(f"{path} holds no gates of a case memory.", _OURS)
        if encoder != encoder_fingerprint(network):
            raise CheckpointError(
                f"{path} was learned for another image encoder.", "Choose the model that it was learned with."
            )
        read = file.read({f"gate.{layer}": torch.Size((network.config.heads,)) for layer in layers})
        return cls({layer: read[f"gate.{layer}"] for layer in layers}, encoder)
