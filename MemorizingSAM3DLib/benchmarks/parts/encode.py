"""Encoding a crop: every family and size, dense and sparse attention, every backend, and the published arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from MemorizingSAM3DLib.engine.networks.attention import attend, flash_attn_function, sparse_attend
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from MemorizingSAM3DLib.engine.networks.sam3d import PublishedSAM3D
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor

from ..fixtures import Size, a_network, an_image, config_of
from ..harness.benchmark_case import BenchmarkCase, Group, Job, Part, Setting, UnavailableError, Wanted
from ..harness.roofline import device_group, encode_facts
from ..literal import literal_encode

LEAST_SPEED_UP = 2.5
Way = Literal["ours", "literal"]
Backend = Literal["chosen", "math", "flash", "efficient", "cudnn"]
_KERNELS = {
    "math": SDPBackend.MATH,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
_SIZES: dict[Size, str] = {
    "shipped": "Encode: the shipped network, crops of 64^3",
    "student": "Encode: FastSAM3D's student, width 768",
    "teacher": "Encode: SAM-Med3D's teacher",
}
# performance.md's targets: 2 CPU cores; an H200-class card.
_MOST_MS: dict[tuple[Size, bool], float] = {
    ("shipped", False): 150, ("student", False): 400, ("shipped", True): 0.6, ("student", True): 0.6,
}  # fmt: skip


def encode_part(setting: Setting) -> Part:
    """All encoders, in groups of one size each; the row ``dense`` is what a session uses."""
    groups = [_of_size(size, setting) for size in _SIZES]
    return Part("encode", "Encoding a crop", [device_group(setting), *groups, _attention_alone(setting)])


def _of_size(size: Size, setting: Setting) -> Group:
    usual = "bfloat16" if setting.on_gpu else "float32"
    other = "float32" if setting.on_gpu else "bfloat16"

    def benchmark_case(name: str, **options: Any) -> BenchmarkCase:
        return BenchmarkCase(name, encoder, {"size": size, "precision": usual, **options})

    benchmark_cases = [benchmark_case("dense"), benchmark_case(f"dense, {other}", precision=other)]
    if setting.on_gpu:
        benchmark_cases.append(benchmark_case("dense, without CUDA graph", graphs=False))
    benchmark_cases += [
        benchmark_case(f"dense, {backend} attention", backend=backend) for backend in _backends(setting)
    ]
    benchmark_cases.append(benchmark_case("sparse", attention="sparse"))
    reference = "dense"
    wanted = {"dense": Wanted(most_ms=_MOST_MS[size, setting.on_gpu])} if (size, setting.on_gpu) in _MOST_MS else {}
    if size != "shipped":
        benchmark_cases.append(benchmark_case("published arithmetic", literal=True))
        benchmark_cases.append(benchmark_case("published sparse", attention="column"))
        benchmark_cases.append(
            benchmark_case("published sparse, a loop over segments", attention="column", literal=True)
        )
    if size == "teacher":
        wanted["published arithmetic"] = Wanted(least_ratio=LEAST_SPEED_UP)
    remark = f"{usual} unless it says otherwise; random weights, one crop."
    return Group(_SIZES[size], benchmark_cases, reference, wanted, remark=remark)


def _backends(setting: Setting) -> Iterator[Backend]:
    yield "math"
    if setting.on_gpu:
        yield from ("efficient", "cudnn")


def encoder(setting: Setting, size: Size, precision: Literal["float32", "bfloat16"], attention: str = "dense",
            backend: Backend = "chosen", literal: bool = False, graphs: bool = True) -> Job:  # fmt: skip
    """Encodes one crop.

    Args:
        backend: of PyTorch's scaled dot-product attention; ``chosen``: what the engine takes by itself.
        literal: the published arithmetic, its attention by the formula.
        graphs: as a session does, by a CUDA graph where there is one.
    """
    return encoder_job(setting, config_of(size, attention), precision, backend, literal, graphs)


def encoder_job(setting: Setting, config: NetworkConfig, precision: Literal["float32", "bfloat16"] = "float32",
                backend: Backend = "chosen", literal: bool = False, graphs: bool = True) -> Job:  # fmt: skip
    """As :func:`encoder`, for any configuration."""
    runtime = choose_runtime(setting.device, precision)
    predictor = Predictor(a_network(config), runtime)
    network, recorded = predictor.network, predictor.graphs if graphs and backend == "chosen" else None
    image = an_image(config).to(runtime.device)
    run = literal_encode if literal else None
    facts = {**encode_facts(config, precision, run), "parameters": sum(p.numel() for p in network.parameters())}
    own = network.image_encoder

    def encode() -> Tensor:
        with torch.inference_mode(), runtime.autocast(), _kernel("math" if literal else backend):
            if literal:
                return literal_encode(own, image)
            features = network.encode(image) if recorded is None else recorded.encode(network, image)
            return features.embedding

    if backend != "chosen":
        _try(encode, backend)
    return Job(encode, facts=facts)


def _kernel(backend: Backend) -> AbstractContextManager[Any]:
    return nullcontext() if backend == "chosen" else sdpa_kernel([_KERNELS[backend]])


def _try(run: Callable[[], object], backend: Backend) -> None:
    try:
        run()
    except RuntimeError as error:
        if "No available kernel" not in str(error) and "No viable backend" not in str(error):
            raise
        problem = f"PyTorch's {backend} attention does not take these tensors here."
        raise UnavailableError(problem, "Measure another backend.") from error


def _attention_alone(setting: Setting) -> Group:
    """The student's attention by itself: 512 tokens, 6 heads of 128 numbers."""
    kinds = ("bias", "no bias", "formula", "flash-attn, no bias", "sparse")
    benchmark_cases = [BenchmarkCase(kind, attention_alone, {"kind": kind}) for kind in kinds]
    remark = "512 tokens, 6 heads of 128 numbers; what the encoder uses is the first line."
    return Group("One attention of the student's encoder", benchmark_cases, kinds[0], remark=remark)


def attention_alone(setting: Setting, kind: str) -> Job:
    """One attention: with the relative positions' bias, without, by its formula, by flash-attn, or over segments."""
    runtime = choose_runtime(setting.device)
    dtype = torch.bfloat16 if runtime.precision == "bfloat16" else torch.float32
    config = config_of("student")
    tokens, heads, channels = config.grid**3, config.heads, config.width // config.heads
    q, k, v = (torch.randn(1, heads, tokens, channels, device=runtime.device, dtype=dtype) for _ in range(3))
    bias = torch.randn(1, heads, tokens, tokens, device=runtime.device, dtype=dtype)
    if kind.startswith("flash-attn"):
        if flash_attn_function() is None or not setting.on_gpu:
            raise UnavailableError("flash-attn is not installed, or there is no GPU.", "pip install flash-attn")
        return Job(lambda: attend(q, k, v, backend="flash_attn"))
    calls: dict[str, Callable[[], Tensor]] = {
        "bias": lambda: attend(q, k, v, bias, backend="sdpa"),
        "no bias": lambda: attend(q, k, v, backend="sdpa"),
        "formula": lambda: attend(q, k, v, bias, backend="math"),
        "sparse": lambda: sparse_attend(q, k, v, config.segments),
    }
    call = calls[kind]

    def run() -> Tensor:
        with torch.inference_mode():
            return call()

    return Job(run)


def teacher_encodes(network: PublishedSAM3D, image: Tensor) -> dict[Way, Callable[[], Tensor]]:
    """Both ways to encode a crop with the published teacher."""

    def ours() -> Tensor:
        with torch.inference_mode():
            return network.image_encoder(image)

    def literal() -> Tensor:
        with torch.inference_mode():
            return literal_encode(network.image_encoder, image)

    return {"ours": ours, "literal": literal}
