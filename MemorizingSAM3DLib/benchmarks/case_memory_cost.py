"""What a case memory costs: a crop's encoding with attention to cases, and the question that a first click asks."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..engine.fingerprint import encoder_fingerprint
from ..engine.geometry import CropGrid
from ..engine.memory.case_facts import CaseFacts
from ..engine.memory.case_layout import CaseLayout
from ..engine.memory.case_memory import CaseMemory
from ..engine.predictor import Predictor
from ..engine.recall.calibration import Calibration, CropFacts
from ..engine.recall.case_recall import CaseRecall
from ..engine.recall.opening import attention_to
from ..engine.recall.remembering import case_layout
from ..engine.recall.surroundings import both_looks

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

        def encode(guest: Any) -> float:
            start = time.perf_counter()
            with torch.inference_mode(), predictor.runtime.autocast():
                network.encode(crop, guest)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return (time.perf_counter() - start) * 1000

        for guest in (None, attention):
            encode(guest)
        times = [(encode(None), encode(attention)) for _ in range(repeats)]
        plain, attending = (statistics.median(column) for column in zip(*times, strict=True))
        with torch.inference_mode():
            features = both_looks(network.encode(crop), network.encode(crop))
        calibration = believing(features)
        recall_ms = {}
        for size in sizes:
            asked = made_memory(Path(folder) / str(size), case_layout(network.config), network, size, rng)
            recall = CaseRecall(asked, calibration)
            spent = [first_question(recall, features, predictor.output_size) for _ in range(repeats + 1)]
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


def first_question(recall: CaseRecall, features: Any, cells: int) -> float:
    """Milliseconds of what a first click asks: neighbours, shapes, box and prior on so many cells."""
    start = time.perf_counter()
    found = recall.recollect(features, (0.0, 0.0, 0.0))
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
