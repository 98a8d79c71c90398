"""One of several processes of a training, as torchrun starts them: the first writes what was found to a file."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel

from MemorizingSAM3DLib.learning.processes import join_processes
from MemorizingSAM3DLib.learning.training.trainer import TrainingOptions
from Testing.learning.small_trainings import a_memory_trainer, a_prompt_trainer, a_trainer

OPTIONS = TrainingOptions(steps=2, batch=4, warm_up=0, learning_rate=1e-3, precision="float32")


def main(folder: Path, what: str = "clicks") -> None:
    processes = join_processes(torch.device("cpu"))
    make = {"clicks": a_trainer, "memory": a_memory_trainer, "prompts": a_prompt_trainer}[what]
    # Fresh weights differ between the processes on purpose: the first one's count.
    trainer = make(folder, OPTIONS, seed=processes.rank, processes=processes)
    gradients: dict[str, torch.Tensor] = {}

    def keep(_step: int, _figures: dict[str, float]) -> None:
        if not gradients:
            named = trainer.objective.network.named_parameters()
            gradients.update({name: p.grad.clone() for name, p in named if p.grad is not None})

    trainer.run(keep)
    if processes.first:
        torch.save({"gradients": gradients, "weights": trainer.objective.network.state_dict()}, folder / "found.pt")
    processes.close()
    # What outlives its group aborts the process when Python ends (gloo's threads), now and then.
    assert not any(type(found) is DistributedDataParallel for found in gc.get_objects())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2])
