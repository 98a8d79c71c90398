"""How far a time is from what the device could do: operations and bytes counted, the device's rates measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from MemorizingSAM3DLib.engine.models.weights_file import without_values
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from MemorizingSAM3DLib.engine.networks.sam3d import build_network

from .benchmark_case import BenchmarkCase, Group, Job, Setting
from .process import Finding
from .report import Ceiling

_PRODUCTS = {"float32": "matrix product, float32", "bfloat16": "matrix product, bfloat16"}
_COPY = "copy"
_BYTES = {"float32": 4, "bfloat16": 2}


def encode_facts(config: NetworkConfig, precision: str, encode: Callable[[Any, Tensor], Tensor] | None = None,
                 ) -> dict[str, Any]:  # fmt: skip
    """What an encoding computes and what it must move at the least.

    Counted on tensors without memory: it takes no time, and no device's own kernels hide from the count.

    Args:
        encode: of an image encoder and a crop; None: our own.

    Returns:
        ``operations``: two for each multiplication with addition, of matrix products, convolutions and attention.
        ``bytes``: the weights once, the crop, what comes out. ``written_bytes``: what the encoder's layers write
        besides, which a cache may hold.
    """
    with without_values():
        encoder = build_network(config).eval().image_encoder
        image = torch.empty(1, 1, *[config.image_size] * 3)
    written: list[int] = []
    leaves = [module for module in encoder.modules() if not any(True for _ in module.children())]
    hooks = [leaf.register_forward_hook(lambda _, __, out: written.append(out.numel())) for leaf in leaves]
    # The fused kernels of some devices are not counted; what they compute is the same.
    with torch.no_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel([SDPBackend.MATH]):
        out = encoder.encode(image) if encode is None else (encode(encoder, image),)
    for hook in hooks:
        hook.remove()
    size = _BYTES[precision]
    moved = [*encoder.parameters(), image, *_tensors(out)]
    return {
        "operations": counter.get_total_flops(),
        "bytes": size * sum(part.numel() for part in moved),
        "written_bytes": size * sum(written),
        "precision": precision,
    }


def counted(run: Callable[[], Any], moved: Sequence[Tensor], precision: str) -> dict[str, Any]:
    """As :func:`encode_facts`, of anything that runs here.

    Args:
        moved: what has to be read or written once.
    """
    # With gradients on, our layers take PyTorch's own kernels, which are counted; nothing here needs a gradient.
    with torch.enable_grad(), FlopCounterMode(display=False) as counter, sdpa_kernel([SDPBackend.MATH]):
        run()
    size = _BYTES[precision] * sum(part.numel() for part in moved)
    return {"operations": counter.get_total_flops(), "bytes": size, "precision": precision}


def device_group(setting: Setting) -> Group:
    """What this device can do: the floor of everything else."""
    sizes = {"edge": 8192, "megabytes": 2048} if setting.on_gpu else {"edge": 1536, "megabytes": 256}
    products = [
        BenchmarkCase(name, matrix_product, {"precision": precision, "edge": sizes["edge"]})
        for precision, name in _PRODUCTS.items()
    ]
    return Group(
        "What this device can do",
        [*products, BenchmarkCase(_COPY, copy, {"megabytes": sizes["megabytes"]})],
        remark="The fastest repeat of each is the ceiling from which floors are computed.",
    )


def matrix_product(setting: Setting, precision: str, edge: int) -> Job:
    """A product of two square matrices."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(edge, edge, device=setting.device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    facts = {"operations": 2 * edge**3, "bytes": 3 * edge**2 * _BYTES[precision], "precision": precision}
    return Job(lambda: torch.mm(a, b, out=out), facts=facts)


def copy(setting: Setting, megabytes: int) -> Job:
    """A copy that fits into no cache: every byte is read once and written once."""
    source = torch.zeros(megabytes * 1_000_000, dtype=torch.uint8, device=setting.device)
    target = torch.empty_like(source)
    return Job(lambda: target.copy_(source), facts={"bytes": 2 * source.numel()})


def ceiling_of(findings: Sequence[Finding]) -> Ceiling | None:
    """From the findings of :func:`device_group`; None if one of them is missing."""
    best: Mapping[str, float] = {
        finding.benchmark_case.name: min(finding.milliseconds[""]) / 1000
        for finding in findings
        if "" in finding.milliseconds  # else it failed, or has laps
    }
    facts = {finding.benchmark_case.name: finding.facts for finding in findings}
    if _COPY not in best:
        return None
    rates = {precision: facts[name]["operations"] / best[name] for precision, name in _PRODUCTS.items() if name in best}
    return Ceiling(rates, facts[_COPY]["bytes"] / best[_COPY])


def _tensors(found: Any) -> list[Tensor]:
    if isinstance(found, Tensor):
        return [found]
    return [] if found is None else [tensor for part in found for tensor in _tensors(part)]
