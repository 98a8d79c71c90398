"""What memories cost: attention to remembered clicks and cases, and asking where a structure was."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..engine.geometry import CropGrid
from ..engine.memory.memory_attention import conditioned
from ..engine.networks.config import NetworkConfig
from ..engine.recall.case_recall import CaseRecall
from ..engine.recall.opening import attention_to
from ..engine.recall.remembering import case_layout
from ..engine.recall.surroundings import both_looks
from .case_memory_cost import ATTENDED, believing, made_memory
from .clicking import engine_click
from .contender import Contender, Group, Job, Part, Setting, Wanted
from .made_networks import an_image, config_of
from .predictors import predictor_of, untrained_memory

REMEMBERED = (1, 10, 60)
CASES = (10, 100, 1000)
_NEIGHBOURS = 3


def memory_part(setting: Setting) -> Part:
    """The interaction memory, and the case memory."""
    return Part("memory", "Memories", [attention_group(setting), click_group(setting), case_group(setting),
                                       recall_group(CASES)])  # fmt: skip


def attention_group(setting: Setting) -> Group:
    """The memory attention alone."""
    contenders = [Contender(_heard(n), memory_attention, {"remembered": n}, x=n) for n in REMEMBERED]
    wanted = {_heard(60): Wanted(most_ms=0.2 if setting.on_gpu else 30)}
    remark = "384 channels on 8^3 cells; keys and values were projected when the clicks were remembered."
    return Group("An embedding, conditioned on remembered clicks", contenders, _heard(1), wanted,
                 "remembered clicks", remark)  # fmt: skip


def _heard(count: int) -> str:
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
    contenders = [Contender(without, engine_click)]
    contenders += [Contender(f"{n} remembered clicks", engine_click, {"remembered": n}) for n in REMEMBERED]
    contenders += [
        Contender(f"{n} remembered clicks, after a pause", engine_click, {"remembered": n, "pause": True})
        for n in REMEMBERED
    ]
    remark = (
        "Logits, memory and the mask on the scan's grid; the click itself is remembered, too. In a pause the panel "
        "conditions the crop on what is remembered so far."
    )
    return Group("A click in the engine, with remembered clicks", contenders, without, remark=remark)


def case_group(setting: Setting) -> Group:
    """Encoding with attention to cases."""
    plain, attending = "encode", f"encode, attending to {_NEIGHBOURS} of {ATTENDED} cases"
    contenders = [Contender(plain, encode, {}), Contender(attending, encode, {"neighbours": _NEIGHBOURS})]
    return Group("Attention to remembered cases", contenders, plain, remark="The shipped network, its last block.")


def encode(setting: Setting, neighbours: int = 0, config: NetworkConfig | None = None) -> Job:
    """A crop with the shipped model, attending to cases in its last block if there are neighbours."""
    predictor = predictor_of(setting, config=config)
    network, runtime = predictor.network, predictor.runtime
    image = an_image(network.config).to(runtime.device)
    guest: Any = None
    folder = tempfile.TemporaryDirectory()  # goes with the job
    if neighbours:
        blocks = (network.config.depth - 1,)
        layout = case_layout(network.config, blocks)
        memory = made_memory(Path(folder.name) / "cases", layout, network, ATTENDED, np.random.default_rng(0))
        guest = attention_to(memory, network, blocks, neighbours=neighbours)
        guest.refresh()

    def run() -> object:
        assert folder
        with torch.inference_mode(), runtime.autocast():
            return network.encode(image) if guest is None else network.encode(image, guest)

    return Job(run)


def recall_group(cases: Sequence[int]) -> Group:
    """The question that a first click asks, by the number of cases."""
    contenders = [Contender(f"first click asks, {n} cases", first_click, {"cases": n}, x=n) for n in cases]
    remark = "Neighbours, shapes, box and prior; cases of random numbers cost as much as real ones."
    title = "Asking where the structure was"
    return Group(title, contenders, contenders[0].name, x_title="remembered cases", remark=remark)


def first_click(setting: Setting, cases: int, config: NetworkConfig | None = None) -> Job:
    """The neighbours of a crop that is encoded, their shapes, the box around them, and the prior in the new crop."""
    predictor = predictor_of(setting, config=config)
    network, runtime = predictor.network, predictor.runtime
    with torch.inference_mode(), runtime.autocast():
        features = network.encode(an_image(network.config).to(runtime.device))
        features = both_looks(features, features)
    folder = tempfile.TemporaryDirectory()  # goes with the job
    layout = case_layout(network.config)
    memory = made_memory(Path(folder.name) / "cases", layout, network, cases, np.random.default_rng(0))
    recall = CaseRecall(memory, believing(features))
    cells = predictor.output_size

    def run() -> object:
        found = recall.recollect(features, (0.0, 0.0, 0.0))
        assert found is not None and folder
        return found.extent(), found.logits(CropGrid((0.0, 0.0, 0.0), 2.0, cells))

    return Job(run)
