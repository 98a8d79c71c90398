"""Worker processes for an evaluation: each has its own copy of the model and takes one case after another."""

from __future__ import annotations

import multiprocessing
import queue
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from ..engine.checkpoints import Checkpoint, load, load_default
from ..engine.errors import EngineError
from ..engine.predictor import Predictor
from ..engine.runtime import choose_runtime
from .baselines import Baseline
from .case_memory_choice import CaseMemoryChoice
from .case_task import CaseSource, CaseTask, Finding, compute
from .evaluation import EvaluationOptions, warm_up
from .memory_choice import MemoryChoice

_POLL_SECONDS = 0.2


class WorkerError(EngineError):
    """A worker process died."""


@dataclass(frozen=True)
class ModelSource:
    """A model that any process can load.

    Args:
        model: a registered name or a file; None: the shipped one. device: auto, cuda or cpu.
        threads: of PyTorch on the CPU; None: its own choice. memory: of past interactions. cases: that are remembered;
            None: none.
    """

    model: str | None
    device: str
    threads: int | None = None
    memory: MemoryChoice = MemoryChoice()
    cases: CaseMemoryChoice | None = None

    def load(self) -> tuple[Checkpoint, Predictor, dict[str, Any] | None]:
        """The model, a predictor with it, and facts about its interaction memory (None: it has none).

        Raises:
            CheckpointError or DeviceError: it cannot be loaded. TrainingError: there is no such interaction memory.
            CaseMemoryError: the case memory cannot be used.
        """
        checkpoint, predictor, memory, _ = self.load_with_cases()
        return checkpoint, predictor, memory

    def load_with_cases(self) -> tuple[Checkpoint, Predictor, dict[str, Any] | None, dict[str, Any] | None]:
        """:meth:`load`, and facts about the case memory (None: there is none)."""
        import torch

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        checkpoint = load(self.model) if self.model else load_default()
        predictor, memory = self.memory.predictor(checkpoint.network, choose_runtime(self.device))
        return checkpoint, predictor, memory, None if self.cases is None else self.cases.attach(predictor)


@dataclass(frozen=True)
class Job:
    """What every worker needs to know."""

    model: ModelSource
    source: CaseSource
    options: EvaluationOptions
    baselines: Sequence[Baseline]


def compute_in_workers(job: Job, tasks: Sequence[CaseTask], workers: int) -> Iterator[tuple[CaseTask, Finding]]:
    """Computes tasks in processes of their own and gives what they find as it comes, in any order.

    Leaving early (an interruption, an error) lets every worker finish its present structure and no more.

    Raises:
        WorkerError: a worker died, which is what the system does to it when memory runs out.
    """
    context = multiprocessing.get_context("spawn")
    findings: Any = context.Queue()
    stop: Any = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start, (job, findings, stop))
    try:
        futures: set[Future[None]] = {pool.submit(_compute, number, task) for number, task in enumerate(tasks)}
        told = 0
        while futures or told < len(tasks):
            for future in [future for future in futures if future.done()]:
                future.result()
                futures.remove(future)
            try:
                number, finding = findings.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if finding is None:
                told += 1
            else:
                yield tasks[number], finding
    except BrokenProcessPool as error:
        raise WorkerError(
            "A worker process died; most often memory ran out.",
            "Run the same command with fewer --workers: what is finished is kept.",
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        findings.close()


_worker: tuple[Job, Predictor, Any, Any] | None = None


def _start(job: Job, findings: Any, stop: Any) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    _, predictor, _ = job.model.load()
    warm_up(predictor, job.baselines)
    _worker = (job, predictor, findings, stop)


def _compute(number: int, task: CaseTask) -> None:
    assert _worker is not None
    job, predictor, findings, stop = _worker

    for finding in compute(task, job.source, predictor, job.options, job.baselines):
        findings.put((number, finding))
        if stop.is_set():
            break
    findings.put((number, None))
