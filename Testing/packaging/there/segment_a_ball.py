"""One click inside a bright ball, with the default model: what a user's first click does, without Slicer."""

from __future__ import annotations

import json

import numpy as np

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.engine.models.registry import known_models
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.session.session import InteractiveSession

SPACING_MM, RADIUS_MM, MIDDLE = 2.0, 24.0, 40
distances = [(axis - MIDDLE) * SPACING_MM for axis in np.indices((80, 80, 80), sparse=True)]
ball = sum(distance**2 for distance in distances) <= RADIUS_MM**2
scan = np.where(ball, 100, -100) + np.random.default_rng(0).normal(0, 12, ball.shape)

session = InteractiveSession()
session.set_image(Volume(scan.astype(np.int16), np.diag([SPACING_MM, SPACING_MM, SPACING_MM, 1.0]), "CT"))
session.add_click(Click((MIDDLE * SPACING_MM,) * 3))
dice = 2 * (session.mask & ball).sum() / (session.mask.sum() + ball.sum())
print(json.dumps({"dice": float(dice), "models": [entry.name for entry in known_models()]}))
