from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D
from MemorizingSAM3DLib.learning.sampling import SampleStream
from MemorizingSAM3DLib.learning.training import Trainer, TrainingOptions, averaged_network, initial_logits
from Testing.engine.small_networks import SMALL_NATIVE

OPTIONS = TrainingOptions(steps=4, batch=2, clicks=2, warm_up=2, learning_rate=1e-3)


def a_network(seed: int = 0) -> NativeSAM3D:
    torch.manual_seed(seed)
    return NativeSAM3D(SMALL_NATIVE)


def a_stream(seed: int = 1) -> SampleStream:
    return SampleStream([], seed=seed, size=32, output_size=16)


def a_trainer(folder, options: TrainingOptions = OPTIONS, seed: int = 0) -> Trainer:
    return Trainer(a_network(seed), a_stream(), folder, options)


def tensors(trainer: Trainer) -> dict[str, torch.Tensor]:
    average = {f"average.{name}": value for name, value in trainer.average.items()}
    return {**trainer.network.state_dict(), **average}


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    whole = a_trainer(tmp_path / "whole")
    whole.run(workers=0)

    stopped = a_trainer(tmp_path / "stopped")

    def stop(step: int, figures: dict[str, float]) -> None:
        if step == 2:
            stopped.save()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.run(stop, workers=0)
    resumed = a_trainer(tmp_path / "stopped", seed=9)  # other fresh weights, which are not used
    assert resumed.step == 2
    resumed.run(workers=0)

    assert resumed.step == whole.step == 4
    expected = tensors(whole)
    for name, value in tensors(resumed).items():
        assert torch.equal(value, expected[name]), name


def test_a_finished_training_does_nothing_more(tmp_path):
    trainer = a_trainer(tmp_path)
    trainer.step = OPTIONS.steps
    before = {name: value.clone() for name, value in tensors(trainer).items()}
    trainer.run(workers=0)
    assert all(torch.equal(value, before[name]) for name, value in tensors(trainer).items())


def test_steps_on_one_batch_lower_the_loss(tmp_path):
    trainer = a_trainer(
        tmp_path, TrainingOptions(steps=40, warm_up=3, learning_rate=4e-3, warm_start=0, initial_mask=0)
    )
    samples = [a_stream()[i] for i in (0, 1)]
    images, targets = (torch.stack([getattr(s, name) for s in samples]) for name in ("image", "target"))
    figures = [trainer.train_step(images, targets) for _ in range(30)]
    losses = [f["loss"] for f in figures]
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:3])
    assert np.mean([f["dice_last"] for f in figures[-5:]]) > np.mean([f["dice_last"] for f in figures[:3]])


def test_every_parameter_is_trained(tmp_path):
    trainer = a_trainer(tmp_path, TrainingOptions(steps=4, warm_up=0, learning_rate=1e-3, warm_start=1, initial_mask=1))
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    trainer.run(workers=0)
    for name, value in trainer.network.named_parameters():
        assert not torch.equal(value, before[name]), name


def test_clicks_are_given_in_voxels_of_the_crop(tmp_path, monkeypatch):
    # Output voxels are 2 crop voxels here, and 8 would be if the network were of another size.
    trainer = a_trainer(tmp_path, TrainingOptions(steps=1, clicks=1, warm_start=0, initial_mask=0))
    target = torch.zeros(2, 1, 16, 16, 16)
    target[:, :, 9:12, 3:6, 12:15] = 1
    seen = []
    decode = trainer.network.decode
    monkeypatch.setattr(trainer.network, "decode", lambda *given: seen.append(given[1:3]) or decode(*given))
    trainer.train_step(torch.randn(2, 1, 32, 32, 32), target)
    coords, labels = seen[0]
    assert labels.tolist() == [[1], [1]]
    for i, place in enumerate(coords[:, 0]):
        voxel = ((place + 0.5) / 2).floor().long().tolist()
        assert target[i, 0][tuple(voxel)] == 1


def test_networks_and_streams_of_different_sizes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="crops of 32 and gives logits of 16.*64 and 16"):
        Trainer(a_network(), SampleStream([], size=64, output_size=16), tmp_path, OPTIONS)


def test_the_learning_rate_rises_then_falls_to_a_hundredth(tmp_path):
    trainer = a_trainer(tmp_path, TrainingOptions(steps=100, warm_up=10, learning_rate=1.0))
    rates = [trainer.learning_rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0) and rates.index(max(rates)) in (9, 10)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.01)


def test_a_step_whose_gradient_is_not_finite_changes_no_weight(tmp_path):
    trainer = a_trainer(tmp_path)
    images, targets = torch.full((2, 1, 32, 32, 32), float("nan")), torch.ones(2, 1, 16, 16, 16)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.train_step(images, targets)
    assert all(torch.equal(value, before[name]) for name, value in trainer.network.state_dict().items())


def test_the_average_follows_the_weights_slowly(tmp_path):
    trainer = a_trainer(tmp_path, TrainingOptions(steps=3, warm_up=0, learning_rate=1e-2))
    start = {name: value.clone() for name, value in trainer.average.items()}
    trainer.run(workers=0)
    name = "mask_decoder.hyper.layers.0.weight"
    moved = (trainer.network.state_dict()[name] - start[name]).norm()
    assert 0 < (trainer.average[name] - start[name]).norm() < moved


def test_the_average_can_be_taken_from_the_state(tmp_path):
    trainer = a_trainer(tmp_path)
    trainer.run(workers=0)
    network, step, seconds = averaged_network(tmp_path / "state.pt")
    assert (network.config, step, network.training) == (SMALL_NATIVE, 4, False)
    assert seconds > 0
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, trainer.average[name])


def test_every_step_is_logged_and_reported(tmp_path):
    reported = []
    a_trainer(tmp_path).run(lambda step, figures: reported.append((step, figures)), workers=0)
    with (tmp_path / "log.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["step"]) for line in lines] == [step for step, _ in reported] == [1, 2, 3, 4]
    assert float(lines[-1]["loss"]) == pytest.approx(reported[-1][1]["loss"], abs=1e-3)


def test_a_failing_save_leaves_the_previous_state(tmp_path, monkeypatch):
    trainer = a_trainer(tmp_path)
    trainer.save()
    content = (tmp_path / "state.pt").read_bytes()

    def full(state: object, path: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full)
    trainer.step = 77
    with pytest.raises(OSError, match="No space"):
        trainer.save()
    assert (tmp_path / "state.pt").read_bytes() == content


def test_initial_masks_are_damaged_but_related():
    targets = torch.zeros(2, 1, 16, 16, 16)
    targets[:, :, 3:13, 4:12, 3:12] = 1
    overlaps = []
    for seed in range(40):
        logits = initial_logits(targets, np.random.default_rng(seed))
        assert logits.shape == targets.shape and logits.isfinite().all()
        mask = logits > 0
        overlaps.append(float(2 * (mask & (targets > 0.5)).sum() / (mask.sum() + targets.sum())))
    assert np.mean([overlap < 0.999 for overlap in overlaps]) > 0.9
    assert np.median(overlaps) > 0.4
