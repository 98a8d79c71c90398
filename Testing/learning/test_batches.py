from __future__ import annotations

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.learning.batches import LoadedBatches, RepeatedBatches
from MemorizingSAM3DLib.learning.cases import Case
from MemorizingSAM3DLib.learning.distributed import Processes
from MemorizingSAM3DLib.learning.manifest import DataError
from MemorizingSAM3DLib.learning.sampling import SampleStream
from Testing.learning.small_trainings import ALONE, a_stream


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
