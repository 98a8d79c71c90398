from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.learning.data import batches, samples
from MemorizingSAM3DLib.learning.data.batches import DeviceBatches, DeviceCase, LoadedBatches, RepeatedBatches
from MemorizingSAM3DLib.learning.data.cases import Case
from MemorizingSAM3DLib.learning.data.manifest import DataError
from MemorizingSAM3DLib.learning.data.samples import SampleStream
from MemorizingSAM3DLib.learning.processes import Processes
from MemorizingSAM3DLib.learning.training.objective import ClickObjective, ClickOptions
from MemorizingSAM3DLib.learning.training.trainer import Trainer, TrainingOptions
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE
from Testing.learning.small_cases import a_case
from Testing.learning.small_trainings import ALONE, a_network, a_stream


def test_sample_i_of_step_n_is_number_n_times_batch_plus_i():
    stream = a_stream()
    batches = list(LoadedBatches(stream, 2, ALONE).batches(3, 5))
    assert [batch.numbers for batch in batches] == [(6, 7), (8, 9)]
    for batch in batches:
        for i, number in enumerate(batch.numbers):
            assert torch.equal(batch.images[i], stream[number].image)
            assert torch.equal(batch.targets[i], stream[number].target)


def test_processes_together_get_what_one_gets():
    whole = next(LoadedBatches(a_stream(), 4, ALONE).batches(1, 2))
    parts = [next(LoadedBatches(a_stream(), 4, Processes(r, 2, ALONE.device)).batches(1, 2)) for r in range(2)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert parts[0].numbers + parts[1].numbers == whole.numbers


@pytest.mark.timeout(120)
def test_worker_processes_give_the_same_batches():
    plain = list(LoadedBatches(a_stream(), 2, ALONE).batches(0, 3))
    worked = list(LoadedBatches(a_stream(), 2, ALONE, workers=1).batches(0, 3))
    assert all(torch.equal(a.images, b.images) for a, b in zip(plain, worked, strict=True))


def test_a_training_that_is_over_has_no_batches():
    assert list(LoadedBatches(a_stream(), 2, ALONE).batches(4, 4)) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_scans_with_nothing_to_click_are_told_also_by_worker_processes(workers):
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[9, 9, 9] = 1
    image = np.random.default_rng(0).integers(0, 90, labels.shape).astype(np.int16)
    speck = Case("one/a", "one", "MR", image, labels, (1.0, 1.0, 1.0), {1: "speck"}, np.packbits(labels > 0))
    stream = SampleStream([speck], 0, 0.0, size=32, output_size=16)
    with pytest.raises(DataError, match="had no target that can be clicked"):
        next(LoadedBatches(stream, 2, ALONE, workers).batches(0, 1))


def test_a_batch_serves_for_several_steps_wherever_a_training_goes_on():
    plain = LoadedBatches(a_stream(), 2, ALONE)
    repeated = RepeatedBatches(LoadedBatches(a_stream(), 2, ALONE), 3)
    assert repeated.sizes == plain.sizes
    whole, rest = list(repeated.batches(0, 7)), list(repeated.batches(4, 7))
    assert [batch.numbers for batch in whole] == [(0, 1)] * 3 + [(2, 3)] * 3 + [(4, 5)]
    assert whole[0] is whole[1] is whole[2] is not whole[3]
    assert [batch.numbers for batch in rest] == [batch.numbers for batch in whole[4:]]
    assert rest[0] is rest[1]
    assert list(repeated.batches(3, 3)) == []


CASES = [a_case("one/a"), a_case("one/b", "CT", seed=1)]


def a_source(**changes) -> DeviceBatches:
    return DeviceBatches(**{"cases": CASES, "config": SMALL_NATIVE, "batch": 6, "processes": ALONE, **changes})


def equal(first, second) -> bool:
    return torch.equal(first.images, second.images) and torch.equal(first.targets, second.targets)


def test_a_batch_follows_from_seed_step_and_process_alone():
    source = a_source(seed=3)
    in_order = [source.batch_of(step) for step in range(3)]
    assert all(equal(a_source(seed=3).batch_of(step), in_order[step]) for step in (2, 0))
    assert not equal(in_order[0], in_order[1]) and not equal(a_source(seed=4).batch_of(0), in_order[0])
    other = Processes(1, 2, torch.device("cpu"))
    halves = [a_source(seed=3, processes=p).batch_of(0) for p in (Processes(0, 2, ALONE.device), other)]
    assert not torch.equal(halves[0].images, halves[1].images)
    assert halves[0].numbers + halves[1].numbers == in_order[0].numbers


def test_batches_come_in_order_and_one_ahead(monkeypatch):
    made: list[tuple[int, bool]] = []
    plain = DeviceBatches.batch_of

    def batch_of(self, step):
        made.append((step, threading.current_thread() is threading.main_thread()))
        return plain(self, step)

    monkeypatch.setattr(DeviceBatches, "batch_of", batch_of)
    source = a_source(batch=2)
    found = list(source.batches(4, 7))
    assert made == [(4, False), (5, False), (6, False)]
    assert all(equal(batch, plain(source, step)) for step, batch in zip(range(4, 7), found, strict=True))
    assert list(source.batches(7, 7)) == []


def test_samples_have_the_sizes_of_the_network_and_targets_to_click():
    batch = a_source(batch=12).batch_of(0)
    assert batch.images.shape == (12, 1, 32, 32, 32) and batch.targets.shape == (12, 1, 16, 16, 16)
    assert batch.images.isfinite().all() and batch.targets.min() >= 0 and batch.targets.max() <= 1
    assert ((batch.targets > 0.5).flatten(1).sum(1) >= 8).float().mean() > 0.8
    assert batch.numbers == tuple(range(12))
    assert a_source().sizes == (32, 16)


def test_the_share_of_synthetic_samples_is_kept(monkeypatch):
    made = []
    plain = batches.synthesise
    monkeypatch.setattr(
        batches, "synthesise", lambda rng, size, device, views: made.append(views) or plain(rng, 32, None, views)
    )
    source = a_source(batch=20, synthetic_share=0.4)
    for step in range(5):
        source.batch_of(step)
    assert 0.25 < sum(made) / 100 < 0.55 and max(made) == batches.VIEWS
    made.clear()
    a_source(cases=[], batch=3, synthetic_share=0.0).batch_of(0)
    assert sum(made) == 3


def test_a_real_crop_shows_the_structure_that_is_its_target(monkeypatch):
    monkeypatch.setattr(batches, "augmented", lambda crops, changes, generator: crops)
    batch = a_source(cases=[a_case()], batch=24, synthetic_share=0.0).batch_of(1)
    shrunk = torch.nn.functional.avg_pool3d(batch.images, 2)
    differences = []
    for image, target in zip(shrunk, batch.targets, strict=True):
        if 20 < (target > 0.5).sum() < 2000:
            differences.append(float((image[target > 0.5].mean() - image[target == 0].mean()).abs()))
    assert len(differences) > 12 and np.median(differences) > 0.25


def test_the_target_is_the_label_that_was_drawn(monkeypatch):
    monkeypatch.setattr(batches, "augmented", lambda crops, changes, generator: crops)
    monkeypatch.setattr(samples, "FOREGROUND_SHARE", 0)
    case = replace(a_case(), structures={2: "dark"})  # beside a bright block of about its size
    batch = a_source(cases=[case], batch=12, synthetic_share=0.0).batch_of(0)
    shrunk = torch.nn.functional.avg_pool3d(batch.images, 2)
    for image, target in zip(shrunk, batch.targets, strict=True):
        if (target > 0.9).sum() > 20:
            assert image[target > 0.9].mean() < image[target == 0].quantile(0.9) - 0.1
            assert image[target > 0.9].std() < 0.3


def test_a_case_on_a_device_is_the_case():
    case = a_case()
    held = DeviceCase.of(case, torch.device("cpu"))
    assert held.image.dtype == torch.int16 and held.labels.dtype == torch.uint8 and held.body.dtype == torch.bool
    np.testing.assert_array_equal(held.image.numpy(), case.image)
    np.testing.assert_array_equal(held.body.numpy(), case.mask(0))


def test_crops_for_published_networks_are_standardised():
    source = a_source(cases=[a_case()], config=SMALL_FASTSAM3D, batch=8, synthetic_share=0.5)
    for image in source.batch_of(0).images:
        assert image.isfinite().all() and 0.2 < float(image.std()) < 5


def test_a_training_made_on_the_device_runs_and_resumes_exactly(tmp_path):
    options = TrainingOptions(steps=3, batch=2, warm_up=0)

    def a_trainer(name: str) -> Trainer:
        clicks = ClickOptions(warm_clicks=2, on_device=True)
        return Trainer(ClickObjective(a_network(), clicks, 0), a_source(batch=2), tmp_path / name, options)

    whole, stopped = a_trainer("whole"), a_trainer("stopped")
    whole.run()
    stopped.run(stop=lambda: True)
    resumed = a_trainer("stopped")
    assert resumed.step == 1
    resumed.run()
    expected = whole.objective.network.state_dict()
    for name, value in resumed.objective.network.state_dict().items():
        assert torch.equal(value, expected[name]), name
