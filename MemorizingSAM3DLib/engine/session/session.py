"""The interactive session: a scan, clicks, a mask. The state is a value: undo, redo, drag and delete are replays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..case_memory.memory import Added
from ..errors import VolumeError
from ..geometry import Box, Volume
from ..geometry.packed_mask import NOWHERE, PackedMask
from ..interaction_memory.conditioning import load_default_interaction_memory
from ..networks.sam3d import SAM3D
from ..prompts import BoxPrompt, Click, Lasso, Point, Prompt, PromptHistory, Prompts, Scribble, moved
from .locate_structure import Proposal, Proposer
from .predictor import Predictor
from .remember_case import remember
from .replay import Replay


class InteractiveSession:
    """Segments one structure of a scan by clicks.

    A crop is encoded once and kept; a click on it costs the decoder only. Whatever sequence of edits is made, the mask
    equals that of a fresh session given the same starting mask and the same clicks: a changed click is a replay from
    there, and states before it are reused. An edit that fails leaves everything as it was. A memory that was turned on
    or off, or has learnt or lost cases, counts for the clicks that are made from then on; undo and redo give the masks
    that were there.

    Args:
        model: a predictor, a network, or a checkpoint (path or registered name); None takes the shipped model. A
            checkpoint comes with the interaction memory that is shipped for it, if there is one.

    Example:
        >>> session = InteractiveSession()
        >>> session.set_image(Volume.from_file("scan.nii.gz"))
        >>> changed = session.add_click(Click((12.0, -8.5, 30.0)))
        >>> session.mask.sum()
    """

    def __init__(self, model: Predictor | SAM3D | str | Path | None = None) -> None:
        self.predictor = model if isinstance(model, Predictor) else _predictor_of(model)
        self._proposer = Proposer(self.predictor)
        self._volume: Volume | None = None
        self._forget()

    def _forget(self) -> None:
        self._history = PromptHistory()
        self._replay = Replay(self.predictor, self._volume) if self._volume else None
        self._shown = PackedMask()
        self._array = np.zeros(self._volume.shape if self._volume else (0, 0, 0), dtype=bool)
        self.changed_box = NOWHERE

    @property
    def volume(self) -> Volume:
        """The scan.

        Raises:
            VolumeError: none was set.
        """
        if self._volume is None:
            raise VolumeError("There is no scan.", "Choose a scan first.")
        return self._volume

    @property
    def mask(self) -> np.ndarray:
        """(K, J, I) bool on the scan's own grid; a read-only view that later edits update in place."""
        view = self._array.view()
        view.flags.writeable = False
        return view

    @property
    def clicks(self) -> tuple[Prompt, ...]:
        """The prompts that count now, in order."""
        return self._history.current.clicks

    @property
    def can_undo(self) -> bool:
        """Whether an edit can be undone."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether an undone edit can be done again."""
        return self._history.can_redo

    def set_image(self, volume: Volume) -> None:
        """Takes a scan and forgets everything about the last one."""
        self.predictor.set_volume(volume)
        self._volume = volume
        self._forget()

    def add_click(self, click: Click) -> Box:
        """One more click.

        Returns:
            The smallest box of scan voxels that changed (also :attr:`changed_box`).

        Raises:
            ClickError: it lies outside the scan. VolumeError: there is no scan.
        """
        return self._edit(self._history.with_click(click))

    def add_scribble(self, line: Sequence[Sequence[float]], positive: bool = True) -> Box:
        """A line drawn on the structure, or (not positive) beside it; RAS mm. Returns and raises as :meth:`add_click`.

        Raises:
            PromptError: it lies outside the scan, or is none.
        """
        return self.add_prompt(Scribble(tuple(map(_point, line)), positive))

    def add_box(self, low: Sequence[float], high: Sequence[float], positive: bool = True) -> Box:
        """A box around the structure, or (not positive) without it; two opposite corners, RAS mm.

        Equal along one axis, it is a rectangle on a slice. Returns as :meth:`add_click`.

        Raises:
            PromptError: it lies outside the scan, has no extent, or the model does not know boxes.
        """
        return self.add_prompt(BoxPrompt(_point(low), _point(high), positive))

    def add_lasso(self, outline: Sequence[Sequence[float]], positive: bool = True) -> Box:
        """A closed line around what of the structure lies in one plane, or (not positive) around what it is not.

        RAS mm. Returns as :meth:`add_click`.

        Raises:
            PromptError: it lies outside the scan, encloses nothing, or the model does not know lassos.
        """
        return self.add_prompt(Lasso(tuple(map(_point, outline)), positive))

    def add_prompt(self, prompt: Prompt) -> Box:
        """Any prompt; returns and raises as :meth:`add_click` and the others."""
        return self._edit(self._history.with_click(prompt))

    def move_click(self, number: int, ras: Sequence[float]) -> Box:
        """Click ``number`` (from 0) dragged to another place, RAS mm; the clicks after it are replayed."""
        return self._edit(self._history.with_changed_click(number, moved(self.clicks[number], _point(ras))))

    def change_prompt(self, number: int, prompt: Prompt) -> Box:
        """Prompt ``number`` replaced by another one, a box with a corner moved, say; those after it are replayed."""
        return self._edit(self._history.with_changed_click(number, prompt))

    def toggle_click(self, number: int) -> Box:
        """Click ``number`` turned from positive to negative or back."""
        prompt = self.clicks[number]
        return self._edit(self._history.with_changed_click(number, replace(prompt, positive=not prompt.positive)))

    def remove_click(self, number: int) -> Box:
        """Click ``number`` deleted; the clicks after it are replayed."""
        return self._edit(self._history.without_click(number))

    def set_clicks(self, clicks: Sequence[Prompt]) -> Box:
        """Any other list of clicks, as one edit; what it has in common with the last ones is not computed again."""
        return self._edit(self._history.edited(Prompts(self._history.current.start, tuple(clicks))))

    def undo(self) -> Box:
        """Back to before the last edit; an empty box when there is none."""
        return self._take(self._history.undone())

    def redo(self) -> Box:
        """The last undone edit again; an empty box when there is none."""
        return self._take(self._history.redone())

    def reset(self) -> Box:
        """No clicks and an empty mask. Can be undone."""
        return self._take(self._history.edited(Prompts()))

    def set_initial_mask(self, mask: np.ndarray) -> Box:
        """Starts from an existing segment instead of nothing; the clicks so far go. Can be undone.

        Args:
            mask: (K, J, I) on the scan's grid, non-zero inside.

        Raises:
            VolumeError: the mask's shape is not the scan's.
        """
        if mask.shape != self.volume.shape:
            raise VolumeError(
                f"The segment's grid {mask.shape} is not the scan's {self.volume.shape}.",
                "Resample the segment to the scan first.",
            )
        assert self._replay is not None
        start = self._replay.add_start(PackedMask.of(np.asarray(mask) != 0, Box.whole(mask.shape)))
        return self._take(self._history.edited(Prompts(start)))

    def remember(self, structure: str = "") -> Added:
        """Adds the mask, as it is now, to the predictor's case memory: the next case like it needs fewer clicks.

        Args:
            structure: its name, at most 64 characters; nothing of the patient belongs into it.

        Raises:
            EngineError: there is no case memory. VolumeError: the mask is empty. CaseMemoryError, OutputError: the
                memory cannot be written; nothing has changed then.
        """
        self.predictor.set_volume(self.volume)
        return remember(self.predictor, self._array, structure)

    def propose(self, structure: str, progress: Callable[[float], None] = lambda _: None) -> Proposal | None:
        """Looks for a remembered structure in the whole scan, and clicks where it is, if the memory recognises it.

        The click is one like any other: it can be undone, dragged and deleted. Crops that were looked at are described
        once, for all structures of the scan.

        Args:
            structure: a name in the predictor's case memory. progress: called with the part that is done, 0 to 1.

        Returns:
            What was clicked; None, and nothing has changed, when the structure was not recognised.

        Raises:
            EngineError: there is no case memory, or nothing of that name in it. VolumeError: there is no scan.
        """
        self.predictor.set_volume(self.volume)
        found = self._proposer.propose(structure, progress)
        if found is not None:
            self.add_click(Click(found.ras))
        return found

    def _edit(self, history: PromptHistory) -> Box:
        """As :meth:`_take`, for a history with new clicks: those listen to the memories as they are now."""
        return self._take(history.made_under(self._history.current, self.predictor.settings))

    def _take(self, history: PromptHistory) -> Box:
        """Makes a history the current one, if its mask can be computed."""
        volume = self.volume
        assert self._replay is not None
        mask = self._replay.mask_of(history.current)
        self._history = history
        box = mask.difference_box(self._shown).clipped(volume.shape)
        if not box.is_empty:
            self._array[box.slices] = mask.within(box)
        self._shown = mask
        self.changed_box = box
        return box


def _point(values: Sequence[float]) -> Point:
    r, a, s = (float(value) for value in values)
    return r, a, s


def _predictor_of(model: SAM3D | str | Path | None) -> Predictor:
    if model is None or isinstance(model, (str, Path)):
        from ..models.checkpoints import load, load_default

        network = (load_default() if model is None else load(model)).network
        return Predictor(network, interaction_memory=load_default_interaction_memory(network))
    return Predictor(model)
