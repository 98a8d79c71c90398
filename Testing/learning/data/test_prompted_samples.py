from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.geometry import Volume
from MemorizingSAM3DLib.learning.data import prompted_samples as module
from MemorizingSAM3DLib.learning.data.cases import FOREGROUND, Case
from MemorizingSAM3DLib.learning.data.manifest import DataError
from MemorizingSAM3DLib.learning.data.prompted_samples import LEAST_VOXELS, DataShares
from MemorizingSAM3DLib.learning.data.random_crops import random_crop
from MemorizingSAM3DLib.learning.synthetic.scenes import LabelScene
from Testing.learning.small_cases import a_case
from Testing.learning.small_trainings import prompted_samples

CASES = a_case("one/a"), a_case("two/b", "CT", seed=1)
UNLABELLED = replace(a_case("c", seed=2), labels=np.zeros((32, 28, 22), np.uint8), structures={FOREGROUND: "body"})
SCENE = LabelScene(Volume(np.ascontiguousarray(a_case().labels.transpose(2, 1, 0)), np.diag([2.0, 2.0, 3.0, 1.0])))
ALL = {"unlabelled": [UNLABELLED], "scenes": [SCENE]}
CROPS = DataShares(0, 0, 0)


@pytest.fixture
def watched(monkeypatch) -> list[tuple[str, int | None]]:
    """What samples are made of: the names of cases with the labels that crops are around, and of scenes."""
    made: list[tuple[str, int | None]] = []

    def crop(case: Case, volume: Volume, label: int, *rest):
        made.append((case.name, label))
        return random_crop(case, volume, label, *rest)

    def scene(name: str):
        draw = getattr(module, name)
        return lambda *given: made.append((name, None)) or draw(*given)

    monkeypatch.setattr(module, "random_crop", crop)
    for name in ("made_scene", "anatomical_scene"):
        monkeypatch.setattr(module, name, scene(name))
    return made


def test_a_sample_is_a_function_of_seed_and_number():
    samples = prompted_samples(*CASES, **ALL)
    forward = [samples[number] for number in range(6)]
    again = prompted_samples(*CASES, **ALL)
    backward = [again[number] for number in reversed(range(6))][::-1]
    for first, second in zip(forward, backward, strict=True):
        assert torch.equal(first.image, second.image) and torch.equal(first.target, second.target)
    assert not torch.equal(forward[0].image, forward[1].image)
    assert not torch.equal(prompted_samples(*CASES, seed=1, **ALL)[0].image, forward[0].image)


@pytest.mark.parametrize("targets", [1, 3])
def test_a_sample_is_a_crop_with_so_many_targets_in_view(targets):
    samples = prompted_samples(*CASES, targets=targets, **ALL)
    for number in range(10):
        sample = samples[number]
        assert sample.image.shape == (1, 32, 32, 32) and sample.image.dtype == torch.float32
        assert sample.target.shape == (targets, 32, 32, 32) and sample.target.dtype == torch.bool
        assert sample.image.isfinite().all()
        assert (sample.target.flatten(1).sum(1) >= LEAST_VOXELS).all()


def test_targets_of_a_scan_are_its_structures():
    """A block of label 1 or 2 is brighter or darker than what is around it; the body is brighter than air."""
    samples = prompted_samples(*CASES, shares=CROPS)
    contrasts = []
    for number in range(12):
        sample = samples[number]
        image, target = sample.image[0], sample.target[0]
        around = torch.nn.functional.max_pool3d(target[None, None].float(), 5, 1, 2)[0, 0].bool() & ~target
        if around.any():
            contrasts.append(float((image[target].mean() - image[around].mean()).abs() / image.std()))
    assert np.median(contrasts) > 0.5


def test_several_targets_are_mostly_not_the_same():
    samples = prompted_samples(*CASES, shares=CROPS)
    same = [torch.equal(*samples[number].target) for number in range(12)]
    assert sum(same) < 6


def test_shares_say_what_samples_are_made_of(watched):
    for shares, expected in (
        (DataShares(0, 1, 0), {"made_scene"}),
        (DataShares(0, 0, 1), {"anatomical_scene"}),
        (DataShares(0, 0.5, 0.5), {"made_scene", "anatomical_scene"}),
        (CROPS, {"one/a", "two/b"}),
        (DataShares(1, 0, 0), {"one/a", "two/b", "c"}),
    ):
        watched.clear()
        samples = prompted_samples(*CASES, shares=shares, **ALL)
        for number in range(9):
            samples[number]
        assert {name for name, _ in watched} == expected


def test_supervoxels_alone_are_targets_where_a_share_says_so(monkeypatch):
    made = []
    original = module.supervoxel_structure
    monkeypatch.setattr(module, "supervoxel_structure", lambda *given: made.append(original(*given)) or made[-1])
    monkeypatch.setattr(module, "_varied", None)  # no labelled structure is asked for
    samples = prompted_samples(*CASES, shares=DataShares(1, 0, 0))
    for number in range(4):
        made.clear()
        targets = samples[number].target.numpy()
        found = [structure for structure in made if structure is not None]
        assert all(any(np.array_equal(target, structure) for structure in found) for target in targets)


def test_of_a_scan_without_labels_the_body_is_looked_at(watched):
    samples = prompted_samples(CASES[0], unlabelled=[UNLABELLED], shares=DataShares(1, 0, 0))
    for number in range(20):
        samples[number]
    assert {label for name, label in watched if name == "c"} == {FOREGROUND}
    assert {label for name, label in watched if name == "one/a"} > {FOREGROUND}


def test_without_cases_all_samples_are_scenes_also_of_label_maps(watched):
    samples = prompted_samples()
    for number in range(4):
        samples[number]
    assert {name for name, _ in watched} == {"made_scene"}
    watched.clear()
    samples = prompted_samples(scenes=[SCENE])
    for number in range(14):
        samples[number]
    assert {name for name, _ in watched} == {"made_scene", "anatomical_scene"}


def test_datasets_of_many_structures_do_not_crowd_out_others(watched):
    many = [a_case(f"many/{number}") for number in range(12)]
    samples = prompted_samples(*many, a_case("few/a"), shares=CROPS)
    for number in range(30):
        samples[number]
    few = np.mean([name == "few/a" for name, _ in watched])
    assert 0.1 < few < 0.4  # 1 / 13 by cases; 1 / (1 + sqrt 12) by the square roots


def test_structures_that_are_too_small_to_prompt_are_told():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[9, 9, 9] = 1
    image = np.random.default_rng(0).integers(0, 90, labels.shape).astype(np.int16)
    speck = Case("one/a", "one", "MR", image, labels, (0.05, 0.05, 0.05), {1: "speck"}, np.packbits(labels > 0))
    with pytest.raises(DataError, match="had no target that can be prompted"):
        prompted_samples(speck, shares=CROPS, targets=1)[0]
