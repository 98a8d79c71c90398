"""What an interaction memory costs, in time and memory, in training and in use; measured in a process of its own.

``python -m studies.interaction_cost train|click with|without MODEL DEVICE THREADS CLICKS
N``
prints it as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

from MemorizingSAM3DLib.benchmarks.harness.process import forget_peak, peak_of_process

Part = Literal["train", "click"]
_STEPS = 2


def cost_of(
    part: Part, memory: bool, model: str, device: str, threads: int, clicks: int, bank_size: int
) -> dict[str, Any]:
    """Seconds and peak memory of a training step, or of a sequence of clicks, with an untrained memory attention.

    Args:
        part: ``train``: a step whose window of 4 clicks comes last of so many clicks; ``click``: all clicks of a
            session. model: a registered native model, or its file. device: auto, cuda or cpu.

    Returns:
        ``seconds`` (of a step, or of all clicks), ``first`` and ``last`` (ms, clicks alone), ``peak_bytes`` of the
        process (None where the system does not tell), ``gpu_bytes`` (None on a CPU).
    """
    root = Path(__file__).parents[3]
    told = [part, "with" if memory else "without", model, device, str(threads), str(clicks), str(bank_size)]
    done = subprocess.run([sys.executable, "-m", __name__, *told], capture_output=True, text=True, check=True, cwd=root)
    return json.loads(done.stdout.splitlines()[-1])


def measure(part: str, memory: bool, model: str, device: str, threads: int, clicks: int, size: int) -> dict[str, Any]:
    """As :func:`cost_of`, in this process; ``peak_bytes`` then is all that it has ever held."""
    import torch

    from MemorizingSAM3DLib.engine.runtime.device import choose_runtime

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    runtime = choose_runtime(device)
    on_gpu = runtime.device.type == "cuda"
    work = _training if part == "train" else _session
    forget_peak()
    found = work(memory, model, runtime, clicks, size)
    gpu = torch.cuda.max_memory_allocated(runtime.device) if on_gpu else None
    return {**found, "peak_bytes": peak_of_process(), "gpu_bytes": gpu}


def _training(memory: bool, model: str, runtime: Any, clicks: int, size: int) -> dict[str, Any]:
    import torch

    from MemorizingSAM3DLib.engine.models.checkpoints import load
    from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D
    from MemorizingSAM3DLib.learning.data.samples import SampleStream
    from MemorizingSAM3DLib.learning.training.changed_networks import SAM3DWithMemory, TrainableMemoryAttention
    from MemorizingSAM3DLib.learning.training.interaction_memory import MemoryObjective, MemoryOptions
    from MemorizingSAM3DLib.learning.training.objective import Batch

    network = load(model).network
    assert isinstance(network, NativeSAM3D)
    network.train().requires_grad_(True)
    attention = TrainableMemoryAttention(_config(network.config, size)) if memory else None
    module = SAM3DWithMemory(network, attention).to(runtime.device)

    class Always(MemoryOptions):
        def clicks_before(self, rng: Any) -> int:
            return max(0, clicks - self.window)

    on_gpu = runtime.device.type == "cuda"
    options = Always(bank_size=size, longest=clicks, as_session=not on_gpu, on_device=on_gpu)
    objective = MemoryObjective(module, options, 0)
    sample = SampleStream.for_network(network.config, [], 0, 1.0)[0]
    batch = Batch(sample.image[None].to(runtime.device), sample.target[None].to(runtime.device), (0,))
    seconds = []
    for step in range(_STEPS):
        start = time.perf_counter()
        with torch.autocast(runtime.device.type, dtype=torch.bfloat16):
            loss, _ = objective(batch, step)
        loss.backward()
        module.zero_grad(set_to_none=True)
        _wait(runtime.device)
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds), "first": None, "last": None}


def _session(memory: bool, model: str, runtime: Any, clicks: int, size: int) -> dict[str, Any]:
    import numpy as np

    from MemorizingSAM3DLib.engine.geometry import Volume
    from MemorizingSAM3DLib.engine.interaction_memory.conditioning import InteractionMemory
    from MemorizingSAM3DLib.engine.models.checkpoints import load
    from MemorizingSAM3DLib.engine.networks.memory_attention import MemoryAttention
    from MemorizingSAM3DLib.engine.prompts import Click
    from MemorizingSAM3DLib.engine.session.predictor import Predictor
    from MemorizingSAM3DLib.engine.session.session import InteractiveSession

    network = load(model).network
    own = InteractionMemory(MemoryAttention(_config(network.config, size)).eval()) if memory else None
    session = InteractiveSession(Predictor(network, runtime, interaction_memory=own, bank_size=size))
    rng = np.random.default_rng(0)
    r, a, s = np.ogrid[:96, :96, :96]
    ball = (r - 48) ** 2 + (a - 48) ** 2 + (s - 48) ** 2 < 24**2
    image = (ball * 300 + rng.normal(0, 30, ball.shape)).astype(np.int16)
    volume = Volume(image, np.eye(4), modality="MR")
    session.set_image(volume)
    times = []
    for number in range(clicks):
        # Around the ball's surface, inside and outside by turns: what corrections are like.
        direction = rng.normal(size=3)
        x, y, z = (48 + direction / np.linalg.norm(direction) * (20 if number % 2 == 0 else 28)).tolist()
        start = time.perf_counter()
        session.add_click(Click((x, y, z), positive=number % 2 == 0))
        times.append(time.perf_counter() - start)
    last = times[-min(20, max(1, clicks - 1)) :]
    return {"seconds": sum(times), "first": 1000 * times[0], "last": 1000 * float(np.median(last))}


def _config(network: Any, size: int) -> Any:
    from MemorizingSAM3DLib.engine.networks.memory_attention import InteractionConfig

    return InteractionConfig(network.embedding_channels, network.grid, capacity=size)


def _wait(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    part, memory, model, device, *numbers = sys.argv[1:]
    print(json.dumps(measure(part, memory == "with", model, device, *map(int, numbers))))
