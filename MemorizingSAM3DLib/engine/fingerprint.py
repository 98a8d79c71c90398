"""What an image encoder is known by: memories belong to the encoder that wrote them."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from .networks.sam3d import SAM3D


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
