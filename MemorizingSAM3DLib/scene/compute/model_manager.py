"""What the user does with models, beside the panel: long work on a thread of its own, results on the main thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MemorizingSAM3DLib.engine.errors import EngineError
from MemorizingSAM3DLib.engine.runtime.worker import Job, Outcome, Worker
from MemorizingSAM3DLib.scene.signals import Signal
from MemorizingSAM3DLib.scene.status import messageOf

if TYPE_CHECKING:
    from MemorizingSAM3DLib.engine.models.store import CheckedModel, ModelStore, StoredModel


class MissingPackageError(EngineError):
    """A package that models need is not installed yet."""


class ModelManager:
    """Downloads, checks and removes models, one thing at a time. It touches no node.

    Args:
        cacheFolder: where downloaded models are; "" for the usual place.

    Attributes:
        changed: a model came or went, or work began or ended. progressChanged: of the work.
        failed: with what the user is to be told. wakeUp: `poll` has something to wait for.
        text: what is being done, "" when nothing is. fraction: how far it is, 0 to 1; None when that is not known.
    """

    def __init__(self, cacheFolder: str = "") -> None:
        self._cacheFolder = cacheFolder
        self._worker = Worker()
        self.changed, self.progressChanged, self.failed, self.wakeUp = Signal(), Signal(), Signal(), Signal()
        self.text = ""
        self.fraction: float | None = None

    @property
    def isBusy(self) -> bool:
        """Whether something is being done."""
        return self._worker.current is not None

    @property
    def isStopping(self) -> bool:
        """Whether it was cancelled and has not ended yet."""
        job = self._worker.current
        return job is not None and job.token.cancelled

    @property
    def store(self) -> ModelStore:
        """The models.

        Raises:
            MissingPackageError: the user has not yet agreed to install what it needs.
        """
        try:
            from MemorizingSAM3DLib.engine.models.store import ModelStore
        except ImportError as error:
            raise MissingPackageError(
                f"A package that downloads or reads models is not installed yet ({error}).",
                "Press 'Install...' on top of the module's panel first.",
            ) from error
        return ModelStore(Path(self._cacheFolder) if self._cacheFolder else None)

    def models(self) -> list[StoredModel]:
        """The known models and what of them is here.

        Raises:
            MissingPackageError: as `store`. CheckpointError: this installation is damaged.
        """
        return self.store.models()

    def download(self, name: str, acceptedLicence: str, then: Callable[[], None]) -> None:
        """Fetches a model under the licence that the user has accepted, and calls `then`.

        Raises:
            MissingPackageError: as `store`.
        """
        store = self.store
        self._start(lambda job: store.download(name, acceptedLicence, job.report), lambda path: then())

    def check(self, source: str, then: Callable[[CheckedModel], None]) -> None:
        """Sees whether a model, by name or path, can segment, and says so to `then`.

        Raises:
            MissingPackageError: as `store`.
        """
        store = self.store
        self._start(lambda job: store.check(source, job.report), then)

    def remove(self, name: str) -> int:
        """Removes a downloaded model, at once. Returns the bytes freed.

        Raises:
            CheckpointError: it cannot be removed.
        """
        freed = self.store.remove(name)
        self.changed.emit()
        return freed

    def forgetFile(self, path: str) -> int:
        """Removes what was converted from a file of the user's own; that file stays. Returns the bytes freed.

        Raises:
            CheckpointError: it cannot be removed.
        """
        freed = self.store.remove_conversion(Path(path))
        self.changed.emit()
        return freed

    def cancel(self) -> None:
        """Ends what is being done, at its next piece. What was downloaded is kept, to go on from."""
        self._worker.cancel()
        self.changed.emit()

    def poll(self, wait: float = 0.0) -> bool:
        """Delivers what is done; on the main thread.

        Args:
            wait: seconds to wait for a result when none is there yet.

        Returns:
            whether anything is still being done.
        """
        isOutstanding = self._worker.poll(wait)
        job = self._worker.current
        text, fraction = ("", None) if job is None else (job.text, job.fraction)
        if (text, fraction) != (self.text, self.fraction):
            self.text, self.fraction = text, fraction
            self.progressChanged.emit()
        return isOutstanding

    def close(self) -> None:
        """Cancels, and delivers nothing any more. Does not wait: a thread that hangs on a connection ends by itself."""
        self._worker.close(patience=0.0)

    def _start(self, work: Callable[[Job], Any], then: Callable[[Any], None]) -> None:
        def deliver(outcome: Outcome) -> None:
            # The job counts as ended before anyone uses of it.
            self.text, self.fraction = "", None
            if outcome.error is None:
                then(outcome.value)
            elif not outcome.cancelled:
                self.failed.emit(messageOf(outcome.error))
            self.changed.emit()

        self._worker.submit(work, deliver)
        self.changed.emit()
        self.wakeUp.emit()
