"""What the next click is likely to need, computed while the user looks at what the last one gave."""

from __future__ import annotations

import os

import torch

from ..geometry import CropGrid
from ..runtime.device import Runtime
from ..runtime.worker import CancelToken
from .crop_policy import cut_faces
from .predictor import Predictor
from .refinement import ClickRefiner, MaskState

_SPARE_THREADS = 4


def pays(runtime: Runtime) -> bool:
    """Whether crops should be encoded ahead on this machine.

    On a GPU: the host is free meanwhile. On a CPU only where as many threads as we compute with are left over, four at
    least: an encode takes all of ours for a tenth of a second or more, in which Slicer draws and a click may come.
    """
    if runtime.device.type != "cpu":
        return True
    threads = torch.get_num_threads()
    return (os.cpu_count() or 1) - threads >= max(threads, _SPARE_THREADS)


def likely_grids(predictor: Predictor, state: MaskState) -> list[CropGrid]:
    """The crops that the next click may be looked through in, the likeliest first.

    The crop that the zoom takes for a click in the middle of the mask as it is now, which is another than the last one
    when the mask has outgrown that or become small in it; the last one; and those beyond the faces at which it cuts the
    mask.

    Args:
        predictor: knows the scan. state: after the last click.
    """
    if state.grid is None or state.mask.is_empty:
        return []
    found = [ClickRefiner(predictor).expected_grid(state), state.grid]
    if state.logits is not None:
        found += cut_faces(state.logits > 0, state.grid, predictor.volume)
    return list(dict.fromkeys(found))


def prefetch_crops(predictor: Predictor, state: MaskState, token: CancelToken, encode: bool = True) -> int:
    """Encodes likely crops as far as the predictor has room for more: none that is kept goes for one that may be used.

    Then the likeliest that is encoded is conditioned on the past interactions. Nothing once memory ran out.

    Args:
        encode: whether crops are encoded, see :func:`pays`; conditioning one takes a twentieth of the time.

    Returns:
        how many were encoded.

    Raises:
        CancelledError: the token was cancelled; what was encoded until then is kept.
    """
    before = predictor.encodes
    with predictor.interruptible(token):
        grids = likely_grids(predictor, state)
        for grid in grids if encode else ():
            if not predictor.has_room or predictor.fallback.taken:
                break
            predictor.features(grid)
        if not predictor.fallback.taken:
            any(predictor.condition_ahead(grid, state.interactions) for grid in grids)
    return predictor.encodes - before
