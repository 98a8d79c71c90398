"""What grows with what: a click with the clicks before it, a scan's steps with its size, a question with the cases.

Finding the nearest remembered cases: PyTorch and faiss in turn, on the same vectors.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from MemorizingSAM3DLib.engine.case_memory.nearest import Backend, NearestCases, Neighbours
from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.session.session import InteractiveSession

from ..fixtures import CROP_SPACING_MM, a_volume, predictor_of, some_clicks
from ..harness.benchmark_case import BenchmarkCase, Group, Job, Part, Setting, UnavailableError, Wanted
from ..harness.machine import available_bytes
from ..harness.process import waiting
from .click import engine_click
from .memories import CASES, recall_group

CLICKS = (1, 10, 100, 1000)
SCANS = ((64, 64, 64), (128, 128, 128), (256, 256, 256), (512, 512, 512), (800, 1024, 1024))
_SMALL_RADII_MM = (24.0, 20.0, 22.0)  # an organ that lies in the smallest scan
_BYTES_BEYOND_TORCH = 1e9
_LAPS = ("taking the scan", "encoding a crop", "a click")


def scaling_part(setting: Setting, most_clicks: int = CLICKS[-1], scans: Sequence[tuple[int, int, int]] = SCANS,
                 cases: Sequence[int] = CASES) -> Part:  # fmt: skip
    """All of them.

    Args:
        most_clicks: of a session. scans: shapes (K, J, I). cases: how many are remembered.
    """
    counts = sorted({*(count for count in CLICKS if count < most_clicks), most_clicks})
    groups = [decoding_group(counts), session_group(most_clicks), scan_group(scans), recall_group(cases)]
    return Part("scaling", "What grows with what", groups)


def decoding_group(counts: Sequence[int]) -> Group:
    """A click in the engine, after so many others in the same crop."""
    benchmark_cases = [BenchmarkCase(f"a click, the {n}th", engine_click, {"clicks": n}, x=n) for n in counts]
    remark = "Logits and the mask on the scan's grid, on a cached crop; the network uses all clicks in it."
    return Group("A click in the engine", benchmark_cases, benchmark_cases[0].name, x_title="clicks", remark=remark)


def session_group(clicks: int) -> Group:
    """A long session, in stretches."""
    benchmark_cases = [
        BenchmarkCase("session", long_session, {"clicks": clicks}),
        BenchmarkCase("session, 60 remembered clicks", long_session, {"clicks": clicks, "remembered": 60}),
    ]
    remark = "Medians over stretches of one session; clicks that need another crop are left out."
    return Group(f"A session of {clicks} clicks", benchmark_cases, remark=remark, most_repeats=1)


def long_session(setting: Setting, clicks: int, remembered: int | None = None) -> Job:
    """A whole session, its clicks timed by stretches: 2 to 10, 11 to 100, and so on."""
    predictor = predictor_of(setting, remembered=remembered)
    volume, asked = a_volume(), some_clicks(clicks)

    def run(count: int = clicks) -> dict[str, float]:
        predictor.forget_volume()
        session = InteractiveSession(predictor)
        session.set_image(volume)
        times: list[float | None] = []
        for click in asked[:count]:
            before, start = predictor.encodes, time.perf_counter()
            session.add_click(click)
            took = 1000 * (time.perf_counter() - start)
            times.append(took if predictor.encodes == before else None)
        return stretches(times)

    run(min(3, clicks))
    return Job(run, laps=True, warm=True)


def stretches(times: Sequence[float | None]) -> dict[str, float]:
    """Medians of clicks 2 to 10, 11 to 100, 101 to 1000 and so on; None: one that is left out."""
    found, low = {}, 1
    while low < len(times):
        high = min(10 * low if low > 1 else 10, len(times))
        kept = [value for value in times[low:high] if value is not None]
        if kept:
            found[f"clicks {low + 1} to {high}"] = statistics.median(kept)
        low = high
    return found


def scan_group(scans: Sequence[tuple[int, int, int]]) -> Group:
    """The steps of a scan by its size: crops cost the same whatever it is."""
    benchmark_cases = [
        BenchmarkCase(_name(shape), of_scan, {"shape": shape}, x=float(_voxels(shape))) for shape in scans
    ]
    names = {_name(shape): shape for shape in scans}
    wanted = {
        f"{name}: {lap}": Wanted(most_bytes_beyond_torch=_BYTES_BEYOND_TORCH)
        for name, shape in names.items()
        for lap in _LAPS[-1:]
        if shape == (512, 512, 512)
    }
    remark = "int16, voxels of 1 mm; the same organ and clicks. Memory holds the scan itself, too."
    return Group("By the scan's size", benchmark_cases, benchmark_cases[0].name, wanted, "voxels", remark)


def of_scan(setting: Setting, shape: tuple[int, int, int]) -> Job:
    """Takes a scan, encodes the same crop, clicks on it.

    Raises:
        UnavailableError: the scan would not fit into the memory.
    """
    needed, available = 5 * _voxels(shape) + 1_000_000_000, available_bytes()
    if available is not None and needed > available:
        problem = f"It needs {needed / 1e9:.1f} GB of memory; {available / 1e9:.1f} GB are free."
        raise UnavailableError(problem, "Measure it on a larger computer.")
    predictor = predictor_of(setting)
    volume = a_volume(shape, (1.0, 1.0, 1.0), _SMALL_RADII_MM)
    clicks = some_clicks(8, _SMALL_RADII_MM)
    grid = CropGrid((0.0, 0.0, 0.0), CROP_SPACING_MM, predictor.crop_size)
    wait = waiting(setting)

    def timed(step: Any) -> float:
        wait()
        start = time.perf_counter()
        step()
        wait()
        return 1000 * (time.perf_counter() - start)

    def run() -> dict[str, float]:
        predictor.forget_volume()
        session = InteractiveSession(predictor)
        taking = timed(lambda: session.set_image(type(volume)(volume.array, volume.ijk_to_ras)))
        encoding = timed(lambda: predictor.encode(grid))
        session.add_click(clicks[0])
        times = []
        for click in clicks[1:]:
            before = predictor.encodes
            took = timed(lambda click=click: session.add_click(click))
            if predictor.encodes == before:
                times.append(took)
        steps = [taking, encoding, *([statistics.median(times)] if times else [])]
        return dict(zip(_LAPS, steps, strict=False))

    return Job(run, laps=True)


def _voxels(shape: tuple[int, int, int]) -> int:
    return shape[0] * shape[1] * shape[2]


def _name(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, reversed(shape)))


_GROUPS = 1000  # descriptors of scans lie in groups, by region and protocol; without groups no index could help
_BLOCK = 50_000
# performance.md: one query of 768 numbers.
_MOST_MS = {False: {1_000: 0.1, 100_000: 85, 1_000_000: 250}, True: {1_000: 0.05, 100_000: 0.2, 1_000_000: 1.5}}
_USUAL_WIDTH = 768


def knn_part(setting: Setting, sizes: Sequence[int], width: int, queries: int, k: int) -> Part:
    """One group for each number of vectors.

    Args:
        sizes: how many vectors. width: numbers of a vector. queries: of one call. k: neighbours wanted.
    """
    backends: list[Backend] = ["torch", "faiss"]
    groups = []
    for size in sizes:
        common = {"size": size, "width": width, "queries": queries, "k": k}
        benchmark_cases = [BenchmarkCase(backend, search, {**common, "backend": backend}) for backend in backends]
        most = _MOST_MS[setting.on_gpu].get(size)
        wanted = {"torch": Wanted(most_ms=most)} if most and width == _USUAL_WIDTH and queries == 1 else {}
        remark = f"{k} neighbours of {queries} vectors of {width} numbers a call."
        groups.append(Group(f"{size:,} vectors", benchmark_cases, "torch", wanted, remark=remark))
    return Part("knn", "The nearest remembered cases", groups)


def search(setting: Setting, size: int, width: int, queries: int, k: int, backend: Backend) -> Job:
    """One call of a search.

    Raises:
        UnavailableError: the backend is not installed, or the vectors do not fit into the memory.
    """
    needed = 4 * size * width * 2
    available = available_bytes()
    if available is not None and needed > available:
        problem = f"It needs {needed / 1e9:.1f} GB of memory; {available / 1e9:.1f} GB are free."
        raise UnavailableError(problem, "Measure with fewer vectors: --vectors.")
    vectors = some_vectors(size, width)
    asked = vectors[torch.arange(queries) % size] + 0.02 * some_vectors(queries, width, seed=1)
    start = time.perf_counter()
    index = NearestCases(vectors, device=setting.device, backend=backend)
    built = time.perf_counter() - start
    if index.runtime.backend != backend:
        raise UnavailableError("faiss is not installed.", "pip install faiss-cpu")

    def run() -> Neighbours:
        return index.search(asked, k)

    facts = {"note": f"on {index.runtime.device}, built in {built:.1f} s", "built_seconds": built}
    return Job(run, facts={**facts, "found": run().indices.tolist()})


def some_vectors(count: int, width: int, seed: int = 0) -> Tensor:
    """(count, width) unit vectors in groups, as scans come, always the same."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.randn(_GROUPS, width, generator=generator)
    try:
        vectors = torch.empty(count, width)
        for begin in range(0, count, _BLOCK):
            part = vectors[begin : begin + _BLOCK]
            part.normal_(generator=generator)
            part += 1.5 * groups[torch.randint(_GROUPS, (len(part),), generator=generator)]
            part /= torch.linalg.vector_norm(part, dim=1, keepdim=True)
    except RuntimeError as error:
        problem = f"{count} vectors of {width} numbers do not fit into the memory."
        raise EngineError(problem, "Measure with fewer: --vectors.") from error
    return vectors
