"""Trainings of the small network that take a fraction of a second a step."""

from __future__ import annotations

from pathlib import Path

import torch

from MemorizingSAM3DLib.engine.networks.memory_attention import InteractionConfig, MemoryTypes
from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D
from MemorizingSAM3DLib.learning.data.batches import LoadedBatches
from MemorizingSAM3DLib.learning.data.cases import Case
from MemorizingSAM3DLib.learning.data.prompted_samples import PromptedSamples
from MemorizingSAM3DLib.learning.data.samples import SampleStream
from MemorizingSAM3DLib.learning.processes import Processes
from MemorizingSAM3DLib.learning.training.changed_networks import SAM3DWithMemory, TrainableMemoryAttention
from MemorizingSAM3DLib.learning.training.interaction_memory import MemoryObjective, MemoryOptions
from MemorizingSAM3DLib.learning.training.objective import Batch, ClickObjective, ClickOptions
from MemorizingSAM3DLib.learning.training.prompt_objective import PromptObjective, PromptOptions
from MemorizingSAM3DLib.learning.training.trainer import Trainer, TrainingOptions
from Testing.engine.small_networks import SMALL_FULL_GRID, SMALL_NATIVE

ALONE = Processes(0, 1, torch.device("cpu"))
OPTIONS = TrainingOptions(steps=4, batch=2, warm_up=2, learning_rate=1e-3)
CLICKS = ClickOptions(warm_clicks=3)
PROMPTS = PromptOptions(warm_rounds=2)
SEQUENCES = MemoryOptions(bank_size=4, window=2, longest=8)


def a_network(seed: int = 0) -> NativeSAM3D:
    torch.manual_seed(seed)
    return NativeSAM3D(SMALL_NATIVE)


def a_stream(seed: int = 1) -> SampleStream:
    return SampleStream([], seed=seed, size=32, output_size=16)


def a_trainer(folder: Path, options: TrainingOptions = OPTIONS, clicks: ClickOptions = CLICKS, seed: int = 0,
              processes: Processes = ALONE, frozen: bool = False, **more) -> Trainer:  # fmt: skip
    network = a_network(seed)
    if frozen:
        network.image_encoder.requires_grad_(False)
    source = LoadedBatches(a_stream(), options.batch, processes)
    return Trainer(ClickObjective(network, clicks, 0), source, folder, options, processes, **more)


def a_remembering_network(seed: int = 0, memory: bool = True, kinds: MemoryTypes = "both") -> SAM3DWithMemory:
    network = a_network()  # the model that is begun with is the same whatever the seed
    torch.manual_seed(seed)
    config = InteractionConfig(SMALL_NATIVE.embedding_channels, SMALL_NATIVE.grid, capacity=4, kinds=kinds)
    return SAM3DWithMemory(network, TrainableMemoryAttention(config) if memory else None)


def a_memory_trainer(folder: Path, options: TrainingOptions = OPTIONS, sequences: MemoryOptions = SEQUENCES,
                     seed: int = 0, processes: Processes = ALONE, memory: bool = True) -> Trainer:  # fmt: skip
    objective = MemoryObjective(a_remembering_network(seed, memory), sequences, 0)
    return Trainer(objective, LoadedBatches(a_stream(), options.batch, processes), folder, options, processes)


def a_full_grid_network(seed: int = 0) -> NativeSAM3D:
    torch.manual_seed(seed)
    return NativeSAM3D(SMALL_FULL_GRID)


def prompted_samples(*cases: Case, **options) -> PromptedSamples:
    """Two targets a crop of 32 voxels; without cases all crops are scenes."""
    return PromptedSamples(SMALL_FULL_GRID, cases, **options)


def a_prompt_trainer(folder: Path, options: TrainingOptions = OPTIONS, prompts: PromptOptions = PROMPTS, seed: int = 0,
                     processes: Processes = ALONE) -> Trainer:  # fmt: skip
    source = LoadedBatches(prompted_samples(), options.batch, processes)
    objective = PromptObjective(a_full_grid_network(seed), prompts, 0)
    return Trainer(objective, source, folder, options, processes)


def a_prompted_batch(*numbers: int) -> Batch:
    samples = [prompted_samples()[number] for number in numbers]
    return Batch(torch.stack([s.image for s in samples]), torch.stack([s.target for s in samples]), numbers)


def a_batch(*numbers: int) -> Batch:
    samples = [a_stream()[number] for number in numbers]
    return Batch(torch.stack([s.image for s in samples]), torch.stack([s.target for s in samples]), numbers)
