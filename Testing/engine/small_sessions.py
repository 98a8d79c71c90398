"""Sessions with an interaction memory on scans of few voxels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.interaction_memory.conditioning import InteractionMemory
from MemorizingSAM3DLib.engine.networks.sam3d import SAM3D
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.device import Precision, choose_runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from Testing.engine.phantoms import LEFT_HANDED, ball, ct_of
from Testing.engine.small_memories import a_network

FAMILIES = ("native", "published")
NETWORKS = {family: a_network(family) for family in FAMILIES}
SCAN, TRUTH = ct_of(ball(9, (-4, 2, 0)), (16, 14, 12), (2.0, 2.5, 3.0), LEFT_HANDED)
SIZE = 3  # so that it overflows soon


def a_predictor(
    network: SAM3D, memory: InteractionMemory | None, size: int = SIZE, embeddings: int = 8,
    precision: Precision = "float32",
) -> Predictor:  # fmt: skip
    runtime = choose_runtime("cpu", precision)
    return Predictor(network, runtime, embeddings, interaction_memory=memory, bank_size=size)


def a_session(network: SAM3D, memory: InteractionMemory | None, scan: Volume = SCAN, **options) -> InteractiveSession:
    session = InteractiveSession(a_predictor(network, memory, **options))
    session.set_image(scan)
    return session


def some_clicks(count: int, scan: Volume = SCAN, seed: int = 0) -> list[Click]:
    rng = np.random.default_rng(seed)
    places = scan.ijk_to_ras_points(rng.uniform(-0.4, np.array(scan.shape[::-1]) - 0.6, (count, 3))).tolist()
    return [Click(tuple(place), number % 3 != 1) for number, place in enumerate(places)]


def masks_of(session: InteractiveSession, clicks: Iterable[Click]) -> list[np.ndarray]:
    masks = []
    for click in clicks:
        session.add_click(click)
        masks.append(session.mask.copy())
    return masks


def same(ones: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> list[bool]:
    return [np.array_equal(one, other) for one, other in zip(ones, others, strict=True)]
