from __future__ import annotations

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.recall.descriptor import DESCRIPTOR_SIZE, Projection, projected, unit


def test_angles_survive_the_projection():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20000))
    for share in (0.0, 0.5, 0.9):
        c = share * a + np.sqrt(1 - share**2) * b
        assert unit(projected(a)) @ unit(projected(c)) == pytest.approx(share, abs=0.12)


def test_the_projection_is_the_same_for_ever():
    # Memories on users' disks were written with it.
    values = projected(np.arange(1, 2001))
    assert values.shape == (DESCRIPTOR_SIZE,) and values.dtype == np.float32
    assert values[:6].tolist() == [-698.0, 0.0, 1055.0, 0.0, 0.0, 390.0]
    assert float(np.abs(values).sum()) == 1211484.0


def test_on_a_device_it_gives_the_same():
    features = torch.randn(7, 11, 13, generator=torch.Generator().manual_seed(1))
    projection = Projection(features.numel(), torch.device("cpu"))
    np.testing.assert_allclose(projection(features), projected(features.numpy()), atol=1e-5)
    np.testing.assert_allclose(projection(features.half()), projected(features.half().numpy()), atol=1e-5)


def test_a_vector_of_length_zero_stays():
    assert not unit(np.zeros(5)).any()
    assert np.linalg.norm(unit(np.full(5, 1e-3))) == pytest.approx(1)
