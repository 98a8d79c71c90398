"""What the user does with the two memories: use them or not, remember a segment, let one be proposed, clear, export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MemorizingSAM3DLib.engine.errors import EngineError, OutputError, VolumeError
from MemorizingSAM3DLib.engine.geometry import Box
from MemorizingSAM3DLib.engine.runtime.worker import Job, Outcome
from MemorizingSAM3DLib.scene.compute.case_memory import CaseMemoryChoice, CaseMemoryFacts
from MemorizingSAM3DLib.scene.compute.engine_thread import Inference
from MemorizingSAM3DLib.scene.scan import Ras
from MemorizingSAM3DLib.scene.segments.segmentation import packedMaskFromSegment
from MemorizingSAM3DLib.scene.signals import Signal
from MemorizingSAM3DLib.scene.status import messageOf

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.session.locate_structure import Proposal
    from MemorizingSAM3DLib.engine.session.predictor import Predictor

SUFFIX = ".safetensors"


class Memories:
    """The memories, for the main thread: everything is done on the worker's, and can be cancelled there.

    What changes them changes the clicks that are made from then on, and no segment that is there: of the case memory
    first clicks alone, of the interaction memory every click.

    Args:
        inference: whose worker and model are used.
        selected: gives the segmentation node, the ID of the selected segment, and the scan's node.
        failed: emitted with a message for the user.
        begin: begins a segment of a name with a point at a place, in the scan's own RAS, mm; says whether it did.

    Attributes:
        changed: something was asked or done; `note` and `facts` may be others.
        note: what was done with the case memory last, in one sentence, or "".
    """

    def __init__(self, inference: Inference, selected: Callable[[], tuple[Any, str, Any]], failed: Signal,
                 begin: Callable[[str, Ras], bool]) -> None:  # fmt: skip
        self.changed, self.failed = Signal(), failed
        self.note = ""
        self._inference = inference
        self._selected, self._begin = selected, begin
        self._told = ""

    def setInteractions(self, number: int | None) -> None:
        """How many past clicks of a segment the next one uses, 1 to 256; None: the interaction memory is off."""
        if number != self._inference.interactions:
            self._inference.interactions = number
            self.changed.emit()

    @property
    def interactions(self) -> int | None:
        """See `setInteractions`."""
        return self._inference.interactions

    @property
    def choice(self) -> CaseMemoryChoice:
        """Which case memory is used, and how."""
        return self._inference.caseMemory

    @property
    def facts(self) -> CaseMemoryFacts:
        """What it holds, as far as was looked."""
        return self._inference.cases.facts

    def choose(self, folder: str) -> None:
        """Takes the case memory of a folder; where there is none, it is made when the first segment is remembered.

        The folder that is in use already is looked at again.
        """
        self._told = ""
        self._set(replace(self.choice, folder=folder), anew=True)

    def setUse(self, use: bool) -> None:
        """Whether first clicks ask the case memory."""
        self._set(replace(self.choice, use=use))

    def setNeighbours(self, neighbours: int) -> None:
        """How many remembered cases a first click listens to."""
        self._set(replace(self.choice, neighbours=neighbours))

    def remember(self, name: str) -> None:
        """Adds the selected segment, as it is now, to the case memory.

        Args:
            name: of the structure, as it is to be kept; "" for none.

        Raises:
            EngineError: there is no scan or segment, it is empty, or something is being computed.
        """
        segmentationNode, segmentID, volumeNode = self._selected()
        if volumeNode is None or not segmentID:
            raise VolumeError("There is no segment to remember.", "Choose a scan, and select a segment.")
        self._requireIdle()
        packed = packedMaskFromSegment(segmentationNode, segmentID, volumeNode)
        if packed.is_empty:
            raise VolumeError("The segment is empty.", "Segment the structure before it is remembered.")
        choice = self.choice

        def run(job: Job, predictor: Predictor) -> str:
            job.report("Remembering the segment")
            with predictor.interruptible(job.token):
                whole = Box.whole(predictor.volume.shape)
                added = self._inference.cases.remember(choice, predictor, packed.within(whole), name)
            if not added.new:
                return "This segment was remembered already."
            note = f"Remembered as '{name.strip()}'." if name.strip() else "Remembered, without a name."
            gone = len(added.evicted)
            return f"{note} {_cases(gone)} made room: the memory has reached its size." if gone else note

        self._inference.withScan(run, self._done, "Remembering the segment")
        self._asked()

    def propose(self, structure: str) -> None:
        """Looks for a remembered structure in the scan, and begins a segment of its name where it is recognised.

        Args:
            structure: a name in the case memory.

        Raises:
            EngineError: there is no scan, or something is being computed.
        """
        scan = self._selected()[2]
        if scan is None:
            raise VolumeError("There is no scan to look in.", "Load or choose a scan first.")
        self._requireIdle()
        text = f"Looking for '{structure}'"

        def run(job: Job, predictor: Predictor) -> Proposal | None:
            job.report(text, 0.0)
            with predictor.interruptible(job.token):
                return self._inference.cases.propose(predictor, structure, lambda part: job.report(text, part))

        def done(outcome: Outcome) -> None:
            # What was found before the user cancelled, or went on to another scan, is not asked for any more.
            if not outcome.cancelled and not job.token.cancelled and self._selected()[2] is scan:
                try:
                    self._beginAt(structure, outcome)
                except EngineError as error:
                    self.failed.emit(messageOf(error))
            self.changed.emit()

        job = self._inference.withScan(run, done, text)
        self._asked()

    def _beginAt(self, structure: str, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.failed.emit(messageOf(outcome.error))
        elif outcome.value is None:
            raise EngineError(f"'{structure}' was not recognised in this scan.", "Click inside it.")
        elif self._begin(outcome.value.structure, outcome.value.ras):
            self.note = f"'{outcome.value.structure}' was found: move or delete its point if it lies wrong."

    def clear(self) -> None:
        """Forgets all cases.

        Raises:
            EngineError: something is being computed.
        """
        self._requireIdle()
        choice = self.choice

        def run(job: Job, predictor: Predictor | None) -> str:
            self._inference.cases.clear(choice, predictor)
            return "All cases are forgotten."

        self._submit(run, "Clearing the case memory")

    def exportTo(self, file: str) -> None:
        """Writes all cases into a single file, which `importFrom` takes on any computer. One that is there is replaced.

        Raises:
            EngineError: something is being computed. OutputError: with the suffix that its name lacks, it is the name
                of another file.
        """
        self._requireIdle()
        path, choice = Path(file), self.choice
        if path.suffix != SUFFIX:
            path = path.with_name(path.name + SUFFIX)
            if path.exists():  # which the user was not asked about
                raise OutputError(f"{path} is there already.", "Choose another name.")

        def run(job: Job, predictor: Predictor | None) -> str:
            self._inference.cases.exportTo(choice, predictor, path)
            return f"Exported to {path}."

        self._submit(run, "Exporting the case memory")

    def importFrom(self, file: str) -> None:
        """Takes over the cases of a single file.

        Raises:
            EngineError: something is being computed.
        """
        self._requireIdle()
        choice, text = self.choice, "Importing cases"

        def run(job: Job, predictor: Predictor | None) -> str:
            merged = self._inference.cases.importFrom(
                choice, predictor, Path(file), lambda part: job.report(text, part)
            )
            note = f"Imported {_cases(merged.added)}"
            parts = (("there already", merged.known), ("damaged and left out", merged.damaged),
                     ("removed to make room", merged.evicted))  # fmt: skip
            return note + "".join(f"; {number} {what}" for what, number in parts if number) + "."

        self._submit(run, text)

    def tellProblem(self) -> None:
        """Says once why the case memory cannot be used, if it is to be used."""
        problem = self.facts.problem
        if problem and problem != self._told and self.choice.use:
            self.failed.emit(problem)
        self._told = problem

    def _set(self, choice: CaseMemoryChoice, anew: bool = False) -> None:
        if choice == self.choice and not anew:
            return
        self._inference.setCaseMemory(choice)
        if not choice.folder:
            return
        cases = self._inference.cases

        def run(job: Job, predictor: Predictor | None) -> str:
            cases.attach(choice, predictor, anew)
            return ""

        self._submit(run, "Opening the case memory")

    def _submit(self, run: Callable[[Job, Predictor | None], str], text: str) -> None:
        self._inference.withModelAsItIs(run, self._done, text)
        self._asked()

    def _asked(self) -> None:
        self.note = ""
        self.changed.emit()

    def _done(self, outcome: Outcome) -> None:
        self._inference.setCaseMemory(self.choice)  # whatever was done: the next first click asks anew
        self.note = outcome.value or ""
        if outcome.error is not None and not outcome.cancelled:
            self.failed.emit(messageOf(outcome.error))
        else:
            self.tellProblem()
        self.changed.emit()

    def _requireIdle(self) -> None:
        if self._inference.worker.current is not None:
            raise EngineError("Something is being computed.", "Wait until it is done, or cancel it.")


def _cases(number: int) -> str:
    return "1 case" if number == 1 else f"{number} cases"
