from __future__ import annotations

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.networks.normalisation import normalise
from MemorizingSAM3DLib.learning.data.augmentation import IntensityChange, augmented, normalised, random_change

NONE = IntensityChange(gain=1.0, offset=0.0, gamma=1.0, field=None, blur=False, noise=0.0, inverted=False)


def some_crops() -> tuple[torch.Tensor, torch.Tensor]:
    """A CT, an MR with zeroed background, and a PET that sticks out of its scan."""
    rng = np.random.default_rng(0)
    ct = rng.normal(0, 300, (48, 48, 48)).clip(-1024, 2000)
    mr = np.abs(rng.normal(300, 120, (48, 48, 48))) * (np.indices((48,) * 3).sum(0) > 40)
    pet = rng.gamma(1.0, 2.0, (48, 48, 48))
    inside = np.ones((3, 48, 48, 48), dtype=bool)
    inside[2, :20] = False
    pet[:20] = pet.min()
    return torch.from_numpy(np.stack([ct, mr, pet]).astype(np.float32)), torch.from_numpy(inside)


@pytest.mark.parametrize("family", ["native", "sam_med3d"])
def test_batches_are_normalised_as_the_engine_normalises_crops(family):
    crops, inside = some_crops()
    is_ct = [True, False, False]
    found = normalised(crops, inside, is_ct, family)
    for i, ct in enumerate(is_ct):
        expected = normalise(crops[i].numpy(), inside[i].numpy(), "CT" if ct else None, family)
        # Percentiles of a subset of the voxels differ a little from those of more of them.
        tolerance = 1e-4 if ct or family != "native" else 0.05
        np.testing.assert_allclose(found[i].numpy(), expected, atol=tolerance, rtol=tolerance)


def test_a_constant_crop_and_one_outside_of_its_scan_stay_finite():
    crops = torch.stack([torch.full((16, 16, 16), 5.0), torch.zeros(16, 16, 16)])
    inside = torch.stack([torch.ones(16, 16, 16), torch.zeros(16, 16, 16)]).bool()
    for family in ("native", "sam_med3d"):
        assert normalised(crops, inside, [False, False], family).isfinite().all()


def test_a_change_of_nothing_changes_nothing():
    crops = torch.randn(2, 12, 12, 12)
    assert torch.equal(augmented(crops, [NONE, NONE], torch.Generator()), crops)


def test_each_crop_gets_its_own_change():
    crops = torch.rand(3, 12, 12, 12) + 0.1
    changes = [
        IntensityChange(2.0, 0.5, 1.0, None, False, 0.0, True),
        NONE,
        IntensityChange(1.0, 0.0, 2.0, np.full((3, 3, 3), 0.25, np.float32), False, 0.0, False),
    ]
    found = augmented(crops, changes, torch.Generator())
    torch.testing.assert_close(found[0], -(2 * crops[0] + 0.5))
    torch.testing.assert_close(found[1], crops[1])
    torch.testing.assert_close(found[2], crops[2] ** 2 + 0.25)


def test_noise_and_blur_are_as_strong_as_they_say():
    crops = torch.randn(2, 24, 24, 24)
    noisy = IntensityChange(1.0, 0.0, 1.0, None, False, 0.1, False)
    blurred = IntensityChange(1.0, 0.0, 1.0, None, True, 0.0, False)
    found = augmented(crops, [noisy, blurred], torch.Generator().manual_seed(0))
    assert float((found[0] - crops[0]).std()) == pytest.approx(0.1, rel=0.1)
    assert float(found[1].std()) < 0.5 * float(crops[1].std())


def test_changed_intensities_stay_finite_and_related():
    crop = torch.linspace(-1, 1, 16**3).view(1, 16, 16, 16)
    correlations = []
    for seed in range(40):
        change = random_change(np.random.default_rng(seed))
        found = augmented(crop, [change], torch.Generator().manual_seed(seed))
        assert found.shape == crop.shape and found.isfinite().all()
        correlations.append(float(torch.corrcoef(torch.stack([crop.flatten(), found.flatten()]))[0, 1]))
    assert np.median(correlations) > 0.95
    assert np.abs(correlations).min() > 0.7
