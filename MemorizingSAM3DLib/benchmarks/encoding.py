"""Times of encoding and decoding a crop, all families and the published arithmetic in one run, taken in turn."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.checkpoints import build_published
from ..engine.networks.config import native_config
from ..engine.networks.sam3d import SAM3D, PublishedSAM3D, build_network
from ..engine.predictor import Predictor
from ..engine.published_file import PublishedFamily
from ..engine.runtime import choose_runtime
from .literal import literal_encode
from .memory import Way, added_by_teacher_encode

LEAST_SPEED_UP = 2.5
MOST_ADDED_BYTES = 300e6
NATIVE_CLICKS = 5

Encode = Callable[[], Tensor]


def measure_encoding(repeats: int, threads: int, progress: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Encodes and decodes on the CPU, in float32, in turn: medians, the gain over the published arithmetic, memory.

    Args:
        repeats: timed runs of everything, after one that is not timed.
        threads: of PyTorch, for the times and for the memory.
        progress: called after each of :func:`stages` pieces of work.

    Returns:
        A JSON-ready report.
    """
    torch.set_num_threads(threads)
    with torch.inference_mode():
        image = an_image()
        teacher, student = a_published_network("sam_med3d"), a_published_network("fastsam3d")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            native = build_network(native_config())
        encodes = teacher_encodes(teacher, image)
        ours, literal = (encodes[way]() for way in ("ours", "literal"))
        jobs: dict[str, Callable[[], Tensor]] = {
            "sam_med3d encode": encodes["ours"],
            "sam_med3d encode, literal": encodes["literal"],
            "fastsam3d encode": lambda: student.encode(image).embedding,
            "native encode": lambda: native.encode(image).embedding,
        }
        networks: dict[str, SAM3D] = {"sam_med3d": teacher, "fastsam3d": student, "native": native}
        for name, network in networks.items():
            _prepare(network)
            jobs[f"{name} decode"] = _a_decode(network, image)
        times = median_times(jobs, repeats, progress)
    added: dict[Way, int | None] = {}
    for way in ("ours", "literal"):
        added[way] = added_by_teacher_encode(way, threads)
        progress()
    return {
        "system": {
            "torch": torch.__version__,
            "processor": platform.processor() or platform.machine(),
            "threads": threads,
            "repeats": repeats,
        },
        "milliseconds": {name: round(1000 * seconds, 1) for name, seconds in times.items()},
        "speed_up": round(times["sam_med3d encode, literal"] / times["sam_med3d encode"], 2),
        "largest_difference": float((ours - literal).abs().max()),
        "added_bytes": added,
        "bars": {"least_speed_up": LEAST_SPEED_UP, "most_added_bytes": int(MOST_ADDED_BYTES)},
    }


def stages(repeats: int) -> int:
    """How often :func:`measure_encoding` reports progress."""
    return 1 + repeats + 2


def median_times(
    jobs: Mapping[str, Callable[[], object]], repeats: int, progress: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Seconds of each job: all are run once to warm up, then in turn, so that a busy machine slows all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(repeats + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if number > 0:
                seconds[name].append(time.perf_counter() - start)
        progress()
    return {name: statistics.median(values) for name, values in seconds.items()}


def teacher_encodes(network: PublishedSAM3D, image: Tensor) -> dict[Way, Encode]:
    """Both ways to encode a crop with the published teacher."""

    def ours() -> Tensor:
        with torch.inference_mode():
            return network.image_encoder(image)

    def literal() -> Tensor:
        with torch.inference_mode():
            return literal_encode(network.image_encoder, image)

    return {"ours": ours, "literal": literal}


def a_published_network(family: PublishedFamily) -> PublishedSAM3D:
    """A published network with random weights, always the same; no checkpoint is needed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_published(family)
        for name, parameter in network.named_parameters():
            if name.endswith("pos_embed") or "rel_pos" in name:  # zeros in a fresh network: there would be no bias
                nn.init.normal_(parameter, std=0.1)
    return network.eval()


def an_image() -> Tensor:
    """A crop of 128^3 normal numbers, always the same."""
    return torch.randn(1, 1, 128, 128, 128, generator=torch.Generator().manual_seed(0))


def _prepare(network: SAM3D) -> None:
    """As the session uses it."""
    Predictor(network, choose_runtime("cpu"))


def _a_decode(network: SAM3D, image: Tensor) -> Callable[[], Tensor]:
    """One click of a session: the newest with the published networks, the last of some with the native one."""
    features = network.encode(image)
    count = NATIVE_CLICKS if network.uses_click_history else 1
    coords, labels = torch.linspace(20, 100, count)[None, :, None].expand(-1, -1, 3), torch.ones(1, count)
    previous = torch.zeros(1, 1, *[network.config.output_size] * 3)
    return lambda: network.decode(features, coords, labels.long(), previous)
