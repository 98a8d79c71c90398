from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from MemorizingSAM3DLib.learning.cases import Case
from MemorizingSAM3DLib.learning.sampling import (
    FOREGROUND,
    SampleStream,
    augment_intensity,
    crop_of_case,
    foreground,
)


def a_case(
    name: str = "a", dataset: str = "one", spacing: tuple[float, float, float] = (1.0, 1.5, 2.0), radius: int = 9
) -> Case:
    """A bright ball (label 1) and a dark one (label 2), in mm, in noise, in a scan of about 60 mm."""
    shape = tuple(int(60 / s) for s in spacing)
    place = [(np.arange(n) + 0.5) * s for n, s in zip(shape, spacing, strict=True)]
    r, a, s = np.meshgrid(*place, indexing="ij")
    bright = (r - 22) ** 2 + (a - 30) ** 2 + (s - 34) ** 2 <= radius**2
    dark = (r - 44) ** 2 + (a - 40) ** 2 + (s - 18) ** 2 <= (radius - 2) ** 2
    image = 300 + 30 * np.random.default_rng(0).standard_normal(shape) + 400 * bright - 250 * dark
    labels = (bright + 2 * dark).astype(np.uint8)
    return Case(name, dataset, "MR", image.astype(np.int16), labels, spacing, {1: "bright", 2: "dark"})


def a_stream(**changes) -> SampleStream:
    return SampleStream(**{"cases": [a_case()], "seed": 3, "size": 32, "output_size": 16, **changes})


def equal(first, second) -> bool:
    return torch.equal(first.image, second.image) and torch.equal(first.target, second.target)


def test_a_sample_depends_on_seed_and_number_alone():
    one, other = a_stream(), a_stream()
    in_order = [one[i] for i in range(6)]
    assert all(equal(other[i], in_order[i]) for i in (5, 0, 3, 3, 1))
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    assert equal(a_stream()[4], in_order[4])
    assert not any(equal(in_order[i], in_order[j]) for i in range(6) for j in range(i))
    assert not equal(a_stream(seed=4)[0], in_order[0])


def test_samples_have_the_sizes_asked_for_and_a_target_that_can_be_clicked():
    for share in (0.0, 1.0):
        for i in range(8):
            sample = a_stream(synthetic_share=share)[i]
            assert sample.image.shape == (1, 32, 32, 32) and sample.target.shape == (1, 16, 16, 16)
            assert sample.image.isfinite().all()
            assert sample.target.min() >= 0 and sample.target.max() <= 1
            assert (sample.target > 0.5).sum() >= 8


def test_the_target_is_the_occupancy_of_the_output_voxels():
    values = torch.cat([a_stream(synthetic_share=1.0)[i].target.flatten() for i in range(4)])
    assert torch.allclose(values * 8, (values * 8).round())
    assert ((values > 0) & (values < 1)).any()


def test_without_cases_all_samples_are_synthetic_whatever_their_share():
    assert equal(a_stream(cases=[], synthetic_share=0.0)[2], a_stream(cases=[], synthetic_share=0.9)[2])


def test_targets_too_small_for_the_resolution_are_reported_instead_of_looped_over(monkeypatch):
    monkeypatch.setattr("MemorizingSAM3DLib.learning.sampling.FOREGROUND_SHARE", 0)
    case = a_case()
    case.labels[:] = 0
    case.labels[20, 20, 20] = 1
    tiny = Case(case.name, case.dataset, "MR", case.image, case.labels, case.spacing, {1: "speck"})
    with pytest.raises(RuntimeError, match="Twenty crops"):
        a_stream(cases=[tiny], synthetic_share=0.0)[0]


def test_datasets_weigh_by_the_square_root_of_their_targets():
    cases = [a_case(str(i), "many") for i in range(8)] + [a_case("x", "few"), a_case("y", "few")]
    stream = a_stream(cases=cases)
    assert dict(zip(stream.datasets, stream.weights, strict=True)) == pytest.approx({"many": 2 / 3, "few": 1 / 3})


@pytest.mark.parametrize("spacing", [(1.0, 1.5, 2.0), (0.3, 0.3, 0.4)])  # the second is averaged before it shrinks
def test_image_and_target_of_a_crop_stay_together(spacing, monkeypatch):
    monkeypatch.setattr("MemorizingSAM3DLib.learning.sampling.augment_intensity", lambda crop, rng: crop)
    case = a_case(spacing=spacing)
    agreement = []
    for seed in range(12):
        image, target = crop_of_case(case, 1, np.random.default_rng(seed), 32)
        if target.sum() < 50:
            continue
        bright = image > (image[target > 0].mean() + image[target == 0].mean()) / 2
        bright = functional.avg_pool3d(bright.float(), 3, stride=1, padding=1) > 0.5  # without specks of noise
        agreement.append(float(2 * (bright & (target > 0)).sum() / (bright.sum() + target.sum())))
    assert len(agreement) >= 8
    assert np.median(agreement) > 0.85


def test_the_foreground_is_the_body_with_its_holes():
    body = np.zeros((20, 20, 20), dtype=bool)
    body[3:15, 4:16, 5:17] = True
    image = np.where(body, 500, 20).astype(np.int16)
    image[8:10, 8:10, 8:10] = 20  # a hole
    image[18, 18, 18] = 500  # a speck beside it
    case = Case("a", "one", "MR", image, body.astype(np.uint8), (1.0, 1.0, 1.0), {1: "body"})
    np.testing.assert_array_equal(foreground(case), body)


def test_some_samples_are_of_the_foreground(monkeypatch):
    seen = []

    def crop(case, label, rng, size):
        seen.append(label)
        return torch.zeros(1, size, size, size), torch.ones(1, size, size, size)

    monkeypatch.setattr("MemorizingSAM3DLib.learning.sampling.crop_of_case", crop)
    stream = a_stream(synthetic_share=0.0)
    for i in range(100):
        stream[i]
    assert 0.05 < np.mean([label == FOREGROUND for label in seen]) < 0.3
    assert set(seen) == {FOREGROUND, 1, 2}


def test_a_crop_of_the_foreground_has_a_target():
    case = a_case()
    bright = Case(
        "b", "one", "MR", (1000 * (case.labels == 1)).astype(np.int16), case.labels, case.spacing, {2: "dark"}
    )
    for seed in range(4):
        of_label = crop_of_case(case, 1, np.random.default_rng(seed), 24)[1]
        assert torch.equal(crop_of_case(bright, FOREGROUND, np.random.default_rng(seed), 24)[1], of_label)


def test_the_voxel_size_of_a_crop_follows_the_object_or_is_the_first_guess():
    case = a_case(spacing=(0.5, 0.5, 0.5))
    small, large = (
        np.mean([crop_of_case(case, 1, np.random.default_rng(s), n)[1].mean() for s in range(8)]) for n in (24, 48)
    )
    # At least 0.5 mm: 24 voxels see 12 mm of a ball of 18 mm, 48 voxels more of what is around it.
    assert small > large > 0.02


def test_what_lies_outside_of_the_scan_is_as_dark_as_its_darkest_voxel(monkeypatch):
    monkeypatch.setattr("MemorizingSAM3DLib.learning.sampling.augment_intensity", lambda crop, rng: crop)
    seen = []
    monkeypatch.setattr(
        "MemorizingSAM3DLib.learning.sampling.normalise",
        lambda crop, inside, modality: seen.append((crop.copy(), inside)) or crop,
    )
    case = a_case(radius=4)
    for seed in range(8):
        crop_of_case(case, 2, np.random.default_rng(seed), 64)
    # Within a scan's voxel of the border, linear interpolation goes over from the last voxel to the padding.
    beyond = [crop[ndimage.binary_erosion(~inside, iterations=5, border_value=1)] for crop, inside in seen]
    values = np.concatenate(beyond)
    assert len(values) > 1000
    np.testing.assert_allclose(values, float(case.image.min()), atol=1e-2)


def test_ct_is_normalised_as_ct(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "MemorizingSAM3DLib.learning.sampling.normalise", lambda crop, inside, modality: seen.append(modality) or crop
    )
    case = a_case()
    ct = Case("ct", "d", "CT", case.image, case.labels, case.spacing, case.structures)
    for seed in range(30):
        crop_of_case(ct, 1, np.random.default_rng(seed), 16)
    assert set(seen) == {"CT", None} and seen.count("CT") > 20


def test_augmented_intensities_stay_finite_and_related():
    crop = torch.linspace(-1, 1, 16**3).view(16, 16, 16)
    correlations = []
    for seed in range(30):
        changed = augment_intensity(crop, np.random.default_rng(seed))
        assert changed.shape == crop.shape and changed.isfinite().all()
        correlations.append(float(torch.corrcoef(torch.stack([crop.flatten(), changed.flatten()]))[0, 1]))
    assert np.median(correlations) > 0.95
    assert np.abs(correlations).min() > 0.7
