from __future__ import annotations

import errno
from dataclasses import replace

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.learning.data.batches import LoadedBatches
from MemorizingSAM3DLib.learning.data.samples import SampleStream
from MemorizingSAM3DLib.learning.processes import TrainingError
from MemorizingSAM3DLib.learning.training import trainer as training
from MemorizingSAM3DLib.learning.training.log import read_log
from MemorizingSAM3DLib.learning.training.muon import Muon
from MemorizingSAM3DLib.learning.training.objective import Batch, ClickObjective, ClickOptions
from MemorizingSAM3DLib.learning.training.prompt_objective import PromptOptions
from MemorizingSAM3DLib.learning.training.trainer import (
    STATE,
    Trainer,
    TrainingOptions,
    averaged_network,
    read_state,
    save_state,
)
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.learning.small_trainings import (
    ALONE,
    OPTIONS,
    a_batch,
    a_network,
    a_prompt_trainer,
    a_prompted_batch,
    a_trainer,
)


@pytest.fixture
def a_run(tmp_path):
    a_trainer(tmp_path).save()
    return tmp_path


def test_a_disk_that_is_full_leaves_the_previous_state_and_no_rubbish(a_run):
    resource = pytest.importorskip("resource", reason="limits of file sizes are a thing of POSIX")
    content = (a_run / STATE).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="cannot be written .*previous state is still there.*Make room"):
            save_state(a_run, {"step": 7, "much": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (a_run / STATE).read_bytes() == content
    assert [path.name for path in a_run.iterdir() if path.suffix == ".part"] == []
    assert read_state(a_run)["step"] == 0


def test_a_first_state_that_cannot_be_written_promises_nothing(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        save_state(tmp_path, {})
    assert "previous" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_a_damaged_state_is_told(a_run, content):
    whole = (a_run / STATE).read_bytes()
    (a_run / STATE).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_state(a_run)


def test_what_is_no_state_is_told(tmp_path):
    torch.save({"model": torch.zeros(3)}, tmp_path / STATE)
    with pytest.raises(TrainingError, match="no state of a training"):
        averaged_network(tmp_path / STATE)


def test_a_state_of_another_network_is_told(a_run):
    assert read_state(a_run, SMALL_NATIVE)["step"] == 0
    with pytest.raises(TrainingError, match="of another network"):
        read_state(a_run, SMALL_NATIVE.with_(depth=4))


def tensors(trainer: Trainer) -> dict[str, torch.Tensor]:
    average = {f"average.{name}": value for name, value in trainer.average.items()}
    return {**trainer.objective.network.state_dict(), **average}


@pytest.mark.parametrize("frozen", [False, True])
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, frozen):
    whole = a_trainer(tmp_path / "whole", frozen=frozen)
    assert whole.run()

    stopped = a_trainer(tmp_path / "stopped", frozen=frozen)
    assert not stopped.run(stop=lambda: stopped.step == 1)  # after the second step
    resumed = a_trainer(tmp_path / "stopped", seed=9, frozen=frozen)  # other fresh weights, which are not used
    assert resumed.step == 2
    assert resumed.run()

    assert resumed.step == whole.step == 4
    expected = tensors(whole)
    for name, value in tensors(resumed).items():
        assert torch.equal(value, expected[name]), name
    losses = [[line["loss"] for line in read_log(tmp_path / name / "log.csv")] for name in ("whole", "stopped")]
    assert losses[0] == losses[1]


def test_a_training_with_muon_at_a_constant_rate_goes_on_as_if_it_had_not_been_stopped(tmp_path):
    options = replace(OPTIONS, steps=3, warm_up=1, optimizer="muon", schedule="constant")
    whole = a_prompt_trainer(tmp_path / "whole", options)
    assert whole.run()

    stopped = a_prompt_trainer(tmp_path / "stopped", options)
    assert not stopped.run(stop=lambda: stopped.step == 1)
    resumed = a_prompt_trainer(tmp_path / "stopped", options, seed=9)
    assert resumed.step == 2
    assert resumed.run()
    expected = tensors(whole)
    for name, value in tensors(resumed).items():
        assert torch.equal(value, expected[name]), name


def test_a_state_of_another_optimizer_is_not_gone_on_with(tmp_path):
    a_trainer(tmp_path).save()
    with pytest.raises(TrainingError, match="has another optimizer"):
        a_trainer(tmp_path, replace(OPTIONS, optimizer="muon"))


def test_a_state_of_version_4_is_gone_on_with(tmp_path):
    """It held one optimizer, whose groups did not know their factor."""
    stopped = a_trainer(tmp_path / "old")
    assert not stopped.run(stop=lambda: stopped.step == 1)
    path = tmp_path / "old" / STATE
    state = torch.load(path, weights_only=True)
    (state["optimizer"],) = state["optimizer"]
    for group in state["optimizer"]["param_groups"]:
        del group["factor"]
    torch.save(state, path)
    resumed, whole = a_trainer(tmp_path / "old"), a_trainer(tmp_path / "whole")
    assert resumed.step == 2
    assert resumed.run() and whole.run()
    expected = tensors(whole)
    for name, value in tensors(resumed).items():
        assert torch.equal(value, expected[name]), name


def test_a_training_that_was_killed_goes_on_from_its_last_checkpoint_without_repeating_lines(tmp_path):
    options = replace(OPTIONS, checkpoint_seconds=0.0)
    killed = a_trainer(tmp_path, options)

    def kill(step: int, figures: dict[str, float]) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed.run(kill)
    assert [line["step"] for line in read_log(tmp_path / "log.csv")] == [1, 2, 3]
    resumed = a_trainer(tmp_path, options)
    assert resumed.step == 2
    resumed.run()
    assert [line["step"] for line in read_log(tmp_path / "log.csv")] == [1, 2, 3, 4]


def test_a_finished_training_does_nothing_more(tmp_path):
    trainer = a_trainer(tmp_path)
    trainer.step = OPTIONS.steps
    before = {name: value.clone() for name, value in tensors(trainer).items()}
    assert trainer.run()
    assert all(torch.equal(value, before[name]) for name, value in tensors(trainer).items())


@pytest.mark.parametrize("on_device", [False, True])
def test_steps_on_one_batch_lower_the_loss(tmp_path, on_device):
    options = TrainingOptions(steps=40, warm_up=3, learning_rate=4e-3)
    clicks = ClickOptions(warm_start=0, initial_mask=0, on_device=on_device)
    trainer, batch = a_trainer(tmp_path, options, clicks), a_batch(0, 1)
    figures = [trainer.train_step(batch)[0] for _ in range(30)]
    losses = [f["loss"] for f in figures]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])
    assert np.mean([f["dice_last"] for f in figures[-5:]]) > np.mean([f["dice_last"] for f in figures[:3]])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_prompted_steps_on_one_batch_lower_the_loss(tmp_path, optimizer):
    options = TrainingOptions(steps=40, warm_up=2, learning_rate=4e-3, optimizer=optimizer, schedule="constant")
    prompts = PromptOptions(rounds=1, warm_start=0, initial_mask=0, skip_dropout=0)
    trainer, batch = a_prompt_trainer(tmp_path, options, prompts), a_prompted_batch(0, 1)
    losses = [trainer.train_step(batch)[0]["loss"] for _ in range(16)]
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:2])


def test_muon_trains_what_maps_features_to_features_and_adamw_the_rest(tmp_path):
    trainer = a_prompt_trainer(tmp_path, replace(OPTIONS, optimizer="muon"))
    names = {id(p): name for name, p in trainer.objective.network.named_parameters()}
    of_adamw, of_muon = (
        [names[id(p)] for group in optimizer.param_groups for p in group["params"]] for optimizer in trainer.optimizers
    )
    assert isinstance(trainer.optimizers[1], Muon)
    assert sorted(of_adamw + of_muon) == sorted(names.values())
    shapes = {name: p.ndim for name, p in trainer.objective.network.named_parameters()}
    assert all(shapes[name] > 1 for name in of_muon)
    assert {"image_encoder.blocks.1.attn.qkv.weight", "image_encoder.patch_embed.proj.weight"} <= set(of_muon)
    tables = {"image_encoder.pos_embed", "mask_decoder.mask_token.weight", "prompt_encoder.kind_embeddings.weight"}
    assert tables <= set(of_adamw)


@pytest.mark.parametrize(("computes", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_the_precision_by_itself_is_what_the_processor_is_fast_in(tmp_path, monkeypatch, computes, precision):
    monkeypatch.setattr(training, "cpu_computes_bfloat16", lambda: computes)
    assert a_trainer(tmp_path).precision == precision
    for named in ("float32", "bfloat16"):
        assert a_trainer(tmp_path, replace(OPTIONS, precision=named)).precision == named


def test_every_parameter_is_trained(tmp_path):
    options = replace(OPTIONS, warm_up=0)
    trainer = a_trainer(tmp_path, options, ClickOptions(warm_start=1, warm_clicks=2, initial_mask=1))
    before = {name: value.clone() for name, value in trainer.objective.network.named_parameters()}
    trainer.run()
    for name, value in trainer.objective.network.named_parameters():
        assert not torch.equal(value, before[name]), name


def test_a_frozen_encoder_stays_as_it_is(tmp_path):
    trainer = a_trainer(tmp_path, frozen=True)
    before = {name: value.clone() for name, value in trainer.objective.network.state_dict().items()}
    trainer.run()
    for name, value in trainer.objective.network.named_parameters():
        assert torch.equal(value, before[name]) == name.startswith("image_encoder."), name


def test_a_run_with_a_frozen_encoder_is_not_gone_on_with_thawed(tmp_path):
    a_trainer(tmp_path, frozen=True).save()
    with pytest.raises(TrainingError, match="trains other parameters"):
        a_trainer(tmp_path)


def test_nothing_to_train_is_told(tmp_path):
    network = a_network().requires_grad_(False)
    source = LoadedBatches(SampleStream([], size=32, output_size=16), 2, ALONE)
    with pytest.raises(TrainingError, match="No parameter"):
        Trainer(ClickObjective(network, ClickOptions(), 0), source, tmp_path, OPTIONS)


def test_networks_and_samples_of_different_sizes_are_refused(tmp_path):
    source = LoadedBatches(SampleStream([], size=64, output_size=16), 2, ALONE)
    with pytest.raises(TrainingError, match="crops of 32 and gives logits of 16.*64 and 16"):
        Trainer(ClickObjective(a_network(), ClickOptions(), 0), source, tmp_path, OPTIONS)


def test_the_learning_rate_rises_then_falls_to_a_hundredth(tmp_path):
    trainer = a_trainer(tmp_path, TrainingOptions(steps=100, warm_up=10, learning_rate=1.0))
    rates = [trainer.learning_rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0) and rates.index(max(rates)) in (9, 10)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.01)


def test_a_constant_rate_stays_at_its_peak_after_the_warm_up(tmp_path):
    trainer = a_trainer(tmp_path, TrainingOptions(steps=100, warm_up=10, learning_rate=1.0, schedule="constant"))
    rates = [trainer.learning_rate(step) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert set(rates[10:]) == {1.0}


def test_a_step_whose_gradient_is_not_finite_changes_no_weight(tmp_path):
    trainer = a_trainer(tmp_path)
    batch = Batch(torch.full((2, 1, 32, 32, 32), float("nan")), torch.ones(2, 1, 16, 16, 16), (0, 1))
    before = {name: value.clone() for name, value in trainer.objective.network.state_dict().items()}
    trainer.train_step(batch)
    assert all(torch.equal(value, before[name]) for name, value in trainer.objective.network.state_dict().items())


def test_the_average_follows_the_weights_slowly(tmp_path):
    trainer = a_trainer(tmp_path, replace(OPTIONS, steps=3, warm_up=0, learning_rate=1e-2))
    start = {name: value.clone() for name, value in trainer.average.items()}
    trainer.run()
    name = "mask_decoder.hyper.layers.0.weight"
    moved = (trainer.objective.network.state_dict()[name] - start[name]).norm()
    assert 0 < (trainer.average[name] - start[name]).norm() < moved


def test_the_average_can_be_taken_from_the_state(tmp_path):
    trainer = a_trainer(tmp_path)
    trainer.run()
    network, step, seconds = averaged_network(tmp_path / STATE)
    assert (network.config, step, network.training) == (SMALL_NATIVE, 4, False)
    assert seconds > 0
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, trainer.average[name])


def test_every_step_is_logged_and_reported(tmp_path):
    reported = []
    a_trainer(tmp_path).run(lambda step, figures: reported.append((step, figures)))
    lines = read_log(tmp_path / "log.csv")
    assert [line["step"] for line in lines] == [step for step, _ in reported] == [1, 2, 3, 4]
    assert lines[-1]["loss"] == pytest.approx(reported[-1][1]["loss"], rel=1e-4)
    assert {"seconds", "dice_first", "dice_last", "norm", "learning_rate"} <= set(lines[0])


def test_a_checkpoint_that_cannot_be_written_is_a_warning_until_the_end(tmp_path, monkeypatch):
    # A folder in the place of the partial file fails as a full disk does, on every system.
    warnings: list[str] = []
    trainer = a_trainer(tmp_path, replace(OPTIONS, checkpoint_seconds=0.0), warn=warnings.append)
    trainer.save()
    content = (tmp_path / STATE).read_bytes()
    (tmp_path / f"{STATE}.part").mkdir()
    with pytest.raises(OutputError, match="previous state is still there"):
        trainer.run()
    assert trainer.step == 4  # it trained on
    assert len(warnings) == 4 and "cannot be written" in warnings[0]
    assert (tmp_path / STATE).read_bytes() == content
