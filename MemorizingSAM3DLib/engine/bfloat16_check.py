"""Whether this processor gains from bfloat16: it multiplies in it by itself, and rightly."""

from __future__ import annotations

from functools import cache

import torch
from torch.nn import functional

#: Largest error of a product or a convolution, relative to the largest result; bfloat16 has 8 bits of precision.
TOLERANCE = 2e-2
# Where bfloat16 is emulated it is slower than float32. PyTorch has no public question for these yet.
_INSTRUCTIONS = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


@cache
def cpu_computes_bfloat16() -> bool:
    """Whether the processor has AMX or AVX-512 BF16, and PyTorch computes with it what it computes in float32.

    Asked once a process; takes some milliseconds.
    """
    asked = (getattr(torch.cpu, name, None) for name in _INSTRUCTIONS)
    if not any(ask is not None and ask() for ask in asked):
        return False
    try:
        return largest_error() <= TOLERANCE
    except RuntimeError:  # this build of PyTorch has no such kernel
        return False


def largest_error() -> float:
    """What a product and a convolution in bfloat16 are off by, relative to the largest result in float32."""
    generator = torch.Generator().manual_seed(0)
    tokens, weight = (torch.randn(*shape, generator=generator) for shape in ((64, 256), (128, 256)))
    crop, kernel = (torch.randn(*shape, generator=generator) for shape in ((1, 16, 12, 12, 12), (16, 16, 3, 3, 3)))
    errors = []
    with torch.inference_mode():
        for work, inputs in (
            (functional.linear, (tokens, weight)),
            (functional.conv3d, (crop, kernel)),
        ):
            exact = work(*inputs)
            found = work(*(part.bfloat16() for part in inputs)).float()
            errors.append(float((found - exact).abs().max() / exact.abs().max()))
    return max(errors)
