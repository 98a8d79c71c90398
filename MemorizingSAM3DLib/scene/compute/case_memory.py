"""The case memory on the worker's thread: opened for the model that is loaded, asked at first clicks, and changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from MemorizingSAM3DLib.engine.errors import EngineError

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.case_memory.memory import Added, CaseMemory, Merged
    from MemorizingSAM3DLib.engine.case_memory.retrieval import CaseRetrieval
    from MemorizingSAM3DLib.engine.session.locate_structure import Proposal, Proposer
    from MemorizingSAM3DLib.engine.session.predictor import Predictor

DEFAULT_NEIGHBOURS = 5  # the engine's, which cannot be asked before PyTorch is installed
_SHEET = "memory.json"


@dataclass(frozen=True)
class CaseMemoryChoice:
    """Which memory, and how it is asked.

    Args:
        folder: of the memory, which is made when the first case is remembered; "" for none.
        use: whether first clicks ask it. neighbours: how many remembered cases they listen to.
    """

    folder: str = ""
    use: bool = True
    neighbours: int = DEFAULT_NEIGHBOURS


@dataclass(frozen=True)
class CaseMemoryFacts:
    """What a memory holds.

    Attributes:
        cases: how many. structures: their names and how many cases each has, the most frequent first; "" for those
            without a name. sizeBytes: on the disk.
        warnings: what was left out because it is damaged.
        problem: why the memory cannot be used, and what to do; "" if it can.
    """

    cases: int = 0
    structures: tuple[tuple[str, int], ...] = ()
    sizeBytes: int = 0
    warnings: tuple[str, ...] = ()
    problem: str = ""

    @property
    def isEmpty(self) -> bool:
        """Whether there is nothing in it, not even something damaged."""
        return not (self.cases or self.warnings)


class CaseMemoryAccess:
    """One folder, one model. All methods are for the worker's thread.

    Attributes:
        facts: about the memory; another object when they change, for any thread to read.
    """

    def __init__(self) -> None:
        self.facts = CaseMemoryFacts()
        self._openedFor: tuple[str, Predictor | None] = ("", None)
        self._memory: CaseMemory | None = None
        self._retrieval: CaseRetrieval | None = None
        self._proposer: Proposer | None = None

    def letGo(self) -> None:
        """Forgets the model and the memory, not its facts."""
        self._openedFor, self._memory, self._retrieval, self._proposer = ("", None), None, None, None

    def attach(self, choice: CaseMemoryChoice, predictor: Predictor | None, anew: bool = False) -> None:
        """Lets the predictor ask the memory as it was chosen. What stands against that is in `facts`, no error.

        Args:
            predictor: None before a model was loaded: then the memory is only looked at.
            anew: looks at the folder again, which other programs may have changed.
        """
        if anew or self._openedFor != (choice.folder, predictor):
            self._open(choice.folder, predictor)
        if self._retrieval is not None:
            self._retrieval.neighbours = choice.neighbours
        if predictor is not None:
            predictor.case_retrieval = self._retrieval if choice.use else None

    def remember(self, choice: CaseMemoryChoice, predictor: Predictor, mask: np.ndarray, name: str) -> Added:
        """Adds a finished structure of the predictor's scan; the first one makes the memory.

        Args:
            mask: (K, J, I) bool on the scan's grid. name: of the structure, or "".

        Raises:
            EngineError: the memory cannot be used or written, or the segment not be remembered. Nothing has changed.
        """
        from MemorizingSAM3DLib.engine.session.remember_case import remember

        self.attach(choice, predictor)
        self._requireUsable(choice.folder)
        if self._retrieval is None:
            self._make(choice.folder, predictor)
        try:
            predictor.case_retrieval = self._retrieval
            return remember(predictor, mask, name)
        finally:
            self.attach(choice, predictor)
            self._look()

    def propose(self, predictor: Predictor, structure: str, progress: Callable[[float], None]) -> Proposal | None:
        """Where a remembered structure is in the predictor's scan; None: it is not recognised.

        Args:
            progress: called with the part that is done, 0 to 1.

        Raises:
            EngineError: there is nothing of that name, or the memory is not used.
        """
        from MemorizingSAM3DLib.engine.session.locate_structure import Proposer

        if self._proposer is None or self._proposer.predictor is not predictor:
            self._proposer = Proposer(predictor)
        return self._proposer.propose(structure, progress)

    def clear(self, choice: CaseMemoryChoice, predictor: Predictor | None) -> None:
        """Forgets all cases. Raises EngineError when they cannot be removed."""
        self.attach(choice, predictor)
        if self._memory is not None:
            try:
                self._memory.clear()
            finally:
                self._look(self.facts.problem)

    def exportTo(self, choice: CaseMemoryChoice, predictor: Predictor | None, file: Path) -> None:
        """Writes all cases into a single file. Raises EngineError when that fails; a file that was there stays then."""
        self.attach(choice, predictor)
        if self._memory is None:
            raise EngineError("There is no case to export.", self.facts.problem or "Remember a segment first.")
        self._memory.export(file)

    def importFrom(self, choice: CaseMemoryChoice, predictor: Predictor | None, file: Path,
                   progress: Callable[[float], None]) -> Merged:  # fmt: skip
        """Takes over the cases of a single file; the first ones make the memory.

        Args:
            progress: called with the part that is done, 0 to 1.

        Raises:
            EngineError: the file is no memory, or one of another model, or a case cannot be written; those before it
                are there.
        """
        from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
        from MemorizingSAM3DLib.engine.case_memory.store import DEFAULT_BUDGET

        self.attach(choice, predictor)
        self._requireUsable(choice.folder)
        source = CaseMemory.open(file)
        if predictor is not None:
            _requireEncoder(source, predictor)
        if self._memory is None:
            budget = max(DEFAULT_BUDGET, 2 * source.size_bytes)
            CaseMemory.create(Path(choice.folder), source.layout, source.encoder, budget)
            self.attach(choice, predictor, anew=True)
            self._requireUsable(choice.folder)
        assert self._memory is not None
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            progress(done / max(len(source), 1))

        try:
            return self._memory.merge(source, step)
        finally:
            self._look()

    def _open(self, folder: str, predictor: Predictor | None) -> None:
        self._openedFor, self._memory, self._retrieval = (folder, predictor), None, None
        problem = ""
        try:
            if folder and _isThere(Path(folder)):
                from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory

                self._memory = CaseMemory.open(Path(folder))
                if predictor is not None:
                    self._retrieval = _recallOf(self._memory, predictor)
                    self._memory = self._retrieval.memory
        except EngineError as error:
            problem = str(error)
        except OSError as error:
            problem = f"The folder {folder} cannot be read ({error.strerror}). Choose another one."
        self._look(problem)

    def _make(self, folder: str, predictor: Predictor) -> None:
        from MemorizingSAM3DLib.engine.session.remember_case import open_or_create_case_retrieval

        open_or_create_case_retrieval(Path(folder), predictor.network)
        self._open(folder, predictor)
        self._requireUsable(folder)

    def _requireUsable(self, folder: str) -> None:
        if not folder:
            raise EngineError("There is no folder for the case memory.", "Choose one.")
        if self.facts.problem:
            raise EngineError("The case memory cannot be used.", self.facts.problem)

    def _look(self, problem: str = "") -> None:
        memory = self._memory
        if memory is None:
            self.facts = CaseMemoryFacts(problem=problem)
            return
        counted = Counter(case.facts.structure for case in memory.cases)
        structures = sorted(counted.items(), key=lambda item: (-item[1], item[0].casefold()))
        self.facts = CaseMemoryFacts(len(memory), tuple(structures), memory.size_bytes, memory.warnings, problem)


def _isThere(folder: Path) -> bool:
    """Whether there is a memory in a folder.

    Raises:
        EngineError: there are other things in it, among which cases would be lost to sight.
    """
    if (folder / _SHEET).is_file():
        return True
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise EngineError(f"{folder} holds other things than a case memory.", "Choose an empty folder, or a new one.")
    return False


def _recallOf(memory: CaseMemory, predictor: Predictor) -> CaseRetrieval:
    from MemorizingSAM3DLib.engine.session.remember_case import open_case_retrieval

    _requireEncoder(memory, predictor)
    return open_case_retrieval(memory.path, predictor.network)


def _requireEncoder(memory: CaseMemory, predictor: Predictor) -> None:
    from MemorizingSAM3DLib.engine.models.weights_file import encoder_fingerprint

    if memory.encoder != encoder_fingerprint(predictor.network):
        raise EngineError(
            f"The case memory {memory.path} was made with another model, and means nothing to this one.",
            "Choose that model again, or another folder: it becomes a new memory for this model.",
        )
