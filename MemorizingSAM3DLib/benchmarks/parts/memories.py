"""What memories cost: attention to remembered clicks and cases, and asking where a structure was.

What a case memory costs: a crop's encoding with attention to cases, and the question that a first click asks.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from MemorizingSAM3DLib.engine.case_memory.case import CaseFacts, CaseLayout
from MemorizingSAM3DLib.engine.case_memory.descriptor import Calibration, CropFacts, multi_scale_descriptor
from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from MemorizingSAM3DLib.engine.case_memory.retrieval import CaseRetrieval
from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.models.weights_file import encoder_fingerprint
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from MemorizingSAM3DLib.engine.networks.memory_attention import conditioned
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.remember_case import attention_to, case_layout

from ..fixtures import an_image, config_of, predictor_of, untrained_memory
from ..harness.benchmark_case import BenchmarkCase, Group, Job, Part, Setting, Wanted
from .click import engine_click

ATTENDED = 10  # remembered cases in the memory that a block attends to


def measure_case_memory(predictor: Predictor, blocks: Sequence[int], neighbours: int = 3,
                        sizes: Sequence[int] = (10, 100), repeats: int = 20) -> dict[str, Any]:  # fmt: skip
    """Medians of runs taken in turn, on cases of random numbers, which cost as much as real ones.

    Args:
        predictor: of the network, on its device.
        blocks: of the encoder, that attend, all at once. neighbours: cases that are attended to.
        sizes: of memories that are asked where a structure was.

    Returns:
        ``plain_ms`` and ``attending_ms`` of an encoding, ``added`` (their difference over the plain one), and
        ``recall_ms``: by the size of the memory, of a first click's question: neighbours, shapes, box and prior.
    """
    rng = np.random.default_rng(0)
    network, device = predictor.network, predictor.runtime.device
    crop = torch.randn(1, 1, *(predictor.crop_size,) * 3, generator=torch.Generator().manual_seed(0)).to(device)
    with tempfile.TemporaryDirectory() as folder:
        memory = made_memory(Path(folder) / "attended", case_layout(network.config, blocks), network, ATTENDED, rng)
        attention = attention_to(memory, network, blocks, neighbours=neighbours)
        attention.refresh()

        def encode(attention_hook: Any) -> float:
            start = time.perf_counter()
            with torch.inference_mode(), predictor.runtime.autocast():
                network.encode(crop, attention_hook)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return (time.perf_counter() - start) * 1000

        for attention_hook in (None, attention):
            encode(attention_hook)
        times = [(encode(None), encode(attention)) for _ in range(repeats)]
        plain, attending = (statistics.median(column) for column in zip(*times, strict=True))
        with torch.inference_mode():
            features = multi_scale_descriptor(network.encode(crop), network.encode(crop))
        calibration = believing(features)
        recall_ms = {}
        for size in sizes:
            asked = made_memory(Path(folder) / str(size), case_layout(network.config), network, size, rng)
            retrieval = CaseRetrieval(asked, calibration)
            spent = [first_question(retrieval, features, predictor.output_size) for _ in range(repeats + 1)]
            recall_ms[str(size)] = round(statistics.median(spent[1:]), 2)
    return {
        "plain_ms": round(plain, 2),
        "attending_ms": round(attending, 2),
        "added": round(attending / plain - 1, 4),
        "recall_ms": recall_ms,
    }


def believing(features: Any) -> Calibration:
    """A calibration for crops like this, which believes any case."""
    facts = CropFacts.of(features)
    layout, local = (np.zeros_like(part) for part in facts)
    return Calibration(layout, local, np.ones_like(local), 1.0, -2.0)


def first_question(retrieval: CaseRetrieval, features: Any, cells: int) -> float:
    """Milliseconds of what a first click asks: neighbours, shapes, box and prior on so many cells."""
    start = time.perf_counter()
    found = retrieval.retrieve_shape_prior(features, (0.0, 0.0, 0.0))
    assert found is not None
    found.extent()
    found.logits(CropGrid((0.0, 0.0, 0.0), 2.0, cells))
    return (time.perf_counter() - start) * 1000


def made_memory(path: Path, layout: CaseLayout, network: Any, cases: int, rng: np.random.Generator) -> CaseMemory:
    """A case memory of random numbers, in a new folder."""
    memory = CaseMemory.create(path, layout, encoder_fingerprint(network))
    for _ in range(cases):
        arrays = {}
        for name, (dtype, shape) in layout.items():
            values = rng.normal(size=shape) if dtype.startswith("float") else rng.integers(0, 256, shape)
            arrays[name] = (values / np.linalg.norm(values) if name == "descriptor" else values).astype(dtype)
        arrays["prior.cell"] = np.array([2.0], np.float32)
        memory.add(arrays, CaseFacts("some", source="training"))
    return memory


REMEMBERED = (1, 10, 60)
CASES = (10, 100, 1000)
_NEIGHBOURS = 3


def memory_part(setting: Setting) -> Part:
    """The interaction memory, and the case memory."""
    return Part("memory", "Memories", [attention_group(setting), click_group(setting), case_group(setting),
                                       recall_group(CASES)])  # fmt: skip


def attention_group(setting: Setting) -> Group:
    """The memory attention alone."""
    benchmark_cases = [BenchmarkCase(_attended(n), memory_attention, {"remembered": n}, x=n) for n in REMEMBERED]
    wanted = {_attended(60): Wanted(most_ms=0.2 if setting.on_gpu else 30)}
    remark = "384 channels on 8^3 cells; keys and values were projected when the clicks were remembered."
    return Group("An embedding, conditioned on remembered clicks", benchmark_cases, _attended(1), wanted,
                 "remembered clicks", remark)  # fmt: skip


def _attended(count: int) -> str:
    return f"memory attention, {count} remembered"


def memory_attention(setting: Setting, remembered: int, config: NetworkConfig | None = None) -> Job:
    """One forward pass; random memories, which cost as much as real ones."""
    predictor = predictor_of(setting, config=config or config_of("student"))
    network, runtime = predictor.network, predictor.runtime
    attention = untrained_memory(network.config, max(REMEMBERED)).attention.to(runtime.device)
    channels, grid = network.config.embedding_channels, (network.config.grid,) * 3
    with torch.inference_mode(), runtime.autocast():
        features = network.encode(an_image(network.config).to(runtime.device))
        memories = [
            attention.project(torch.randn(1, channels, device=runtime.device),
                              torch.randn(1, channels, *grid, device=runtime.device))
            for _ in range(remembered)
        ]  # fmt: skip
        stack = attention.stack(memories)

    def run() -> object:
        with torch.inference_mode(), runtime.autocast():
            return conditioned(network, attention, features, stack)

    return Job(run)


def click_group(setting: Setting) -> Group:
    """The shipped model's click with and without."""
    without = "without interaction memory"
    benchmark_cases = [BenchmarkCase(without, engine_click)]
    benchmark_cases += [BenchmarkCase(f"{n} remembered clicks", engine_click, {"remembered": n}) for n in REMEMBERED]
    benchmark_cases += [
        BenchmarkCase(f"{n} remembered clicks, after a pause", engine_click, {"remembered": n, "pause": True})
        for n in REMEMBERED
    ]
    remark = (
        "Logits, memory and the mask on the scan's grid; the click itself is remembered, too. In a pause the panel "
        "conditions the crop on what is remembered so far."
    )
    return Group("A click in the engine, with remembered clicks", benchmark_cases, without, remark=remark)


def case_group(setting: Setting) -> Group:
    """Encoding with attention to cases."""
    plain, attending = "encode", f"encode, attending to {_NEIGHBOURS} of {ATTENDED} cases"
    benchmark_cases = [BenchmarkCase(plain, encode, {}), BenchmarkCase(attending, encode, {"neighbours": _NEIGHBOURS})]
    return Group("Attention to remembered cases", benchmark_cases, plain, remark="The shipped network, its last block.")


def encode(setting: Setting, neighbours: int = 0, config: NetworkConfig | None = None) -> Job:
    """A crop with the shipped model, attending to cases in its last block if there are neighbours."""
    predictor = predictor_of(setting, config=config)
    network, runtime = predictor.network, predictor.runtime
    image = an_image(network.config).to(runtime.device)
    attention_hook: Any = None
    folder = tempfile.TemporaryDirectory()  # goes with the job
    if neighbours:
        blocks = (network.config.depth - 1,)
        layout = case_layout(network.config, blocks)
        memory = made_memory(Path(folder.name) / "cases", layout, network, ATTENDED, np.random.default_rng(0))
        attention_hook = attention_to(memory, network, blocks, neighbours=neighbours)
        attention_hook.refresh()

    def run() -> object:
        assert folder
        with torch.inference_mode(), runtime.autocast():
            return network.encode(image) if attention_hook is None else network.encode(image, attention_hook)

    return Job(run)


def recall_group(cases: Sequence[int]) -> Group:
    """The question that a first click asks, by the number of cases."""
    benchmark_cases = [BenchmarkCase(f"first click asks, {n} cases", first_click, {"cases": n}, x=n) for n in cases]
    remark = "Neighbours, shapes, box and prior; cases of random numbers cost as much as real ones."
    title = "Asking where the structure was"
    return Group(title, benchmark_cases, benchmark_cases[0].name, x_title="remembered cases", remark=remark)


def first_click(setting: Setting, cases: int, config: NetworkConfig | None = None) -> Job:
    """The neighbours of a crop that is encoded, their shapes, the box around them, and the prior in the new crop."""
    predictor = predictor_of(setting, config=config)
    network, runtime = predictor.network, predictor.runtime
    with torch.inference_mode(), runtime.autocast():
        features = network.encode(an_image(network.config).to(runtime.device))
        features = multi_scale_descriptor(features, features)
    folder = tempfile.TemporaryDirectory()  # goes with the job
    layout = case_layout(network.config)
    memory = made_memory(Path(folder.name) / "cases", layout, network, cases, np.random.default_rng(0))
    retrieval = CaseRetrieval(memory, believing(features))
    cells = predictor.output_size

    def run() -> object:
        found = retrieval.retrieve_shape_prior(features, (0.0, 0.0, 0.0))
        assert found is not None and folder
        return found.extent(), found.logits(CropGrid((0.0, 0.0, 0.0), 2.0, cells))

    return Job(run)
