from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from MemorizingSAM3DLib.learning.data import samples
from MemorizingSAM3DLib.learning.data.cases import FOREGROUND, Case
from MemorizingSAM3DLib.learning.data.manifest import DataError
from MemorizingSAM3DLib.learning.data.samples import SampleStream, TargetChoice, crop_of_case, standardised
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE


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
    monkeypatch.setattr(samples, "FOREGROUND_SHARE", 0)
    case = a_case()
    case.labels[:] = 0
    case.labels[20, 20, 20] = 1
    tiny = Case(case.name, case.dataset, "MR", case.image, case.labels, case.spacing, {1: "speck"})
    with pytest.raises(DataError, match="20 crops in a row"):
        a_stream(cases=[tiny], synthetic_share=0.0)[0]


def test_datasets_weigh_by_the_square_root_of_their_targets():
    cases = [a_case(str(i), "many") for i in range(8)] + [a_case("x", "few"), a_case("y", "few")]
    choice = TargetChoice(cases)
    assert dict(zip(choice.datasets, choice.weights, strict=True)) == pytest.approx({"many": 2 / 3, "few": 1 / 3})


@pytest.mark.parametrize("spacing", [(1.0, 1.5, 2.0), (0.3, 0.3, 0.4)])  # the second is averaged before it shrinks
def test_image_and_target_of_a_crop_stay_together(spacing, monkeypatch):
    monkeypatch.setattr(samples, "augmented", lambda crops, changes, generator: crops)
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


def test_some_samples_are_of_the_foreground(monkeypatch):
    seen = []

    def crop(case, label, rng, size, family):
        seen.append(label)
        return torch.zeros(1, size, size, size), torch.ones(1, size, size, size)

    monkeypatch.setattr(samples, "crop_of_case", crop)
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


def test_an_object_fills_as_much_of_a_crop_whatever_the_crops_size():
    case = a_case(spacing=(0.5, 0.5, 0.5))
    small, large = (
        np.mean([crop_of_case(case, 1, np.random.default_rng(s), n)[1].mean() for s in range(8)]) for n in (24, 48)
    )
    assert small == pytest.approx(large, rel=0.3) and large > 0.02


def test_ct_is_mostly_normalised_as_ct(monkeypatch):
    seen = []
    plain = samples.normalised
    monkeypatch.setattr(samples, "normalised", lambda *given: seen.append(given[2]) or plain(*given))
    case = a_case()
    ct = Case("ct", "d", "CT", case.image, case.labels, case.spacing, case.structures)
    for seed in range(30):
        crop_of_case(ct, 1, np.random.default_rng(seed), 16)
    assert [True] in seen and [False] in seen and seen.count([True]) > 20
    seen.clear()
    crop_of_case(case, 1, np.random.default_rng(0), 16)
    assert seen == [[False]]


def test_a_stream_fits_the_network_it_is_made_for():
    native = SampleStream.for_network(SMALL_NATIVE, [], 0, 1.0)
    assert (native.size, native.output_size) == (32, 16)
    published = SampleStream.for_network(SMALL_FASTSAM3D, [a_case()], 0, 0.5)
    assert (published.size, published.output_size, published.family) == (32, 16, "fastsam3d")
    for i in range(4):
        image = published[i].image
        assert image.isfinite().all() and float(image.std()) > 0.3


def test_synthetic_images_are_standardised_for_published_networks_alone():
    images = torch.randn(2, 8, 8, 8) * 3 + 5
    assert standardised(images, "native") is images
    found = standardised(images, "sam_med3d")
    torch.testing.assert_close(found.mean((1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std((1, 2, 3)), torch.ones(2))
