from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.session.locality import accepted_region, hold_clicks
from MemorizingSAM3DLib.learning.training.interaction_memory import (
    ClickSequence,
    MemoryObjective,
    MemoryOptions,
    kept_logits,
    projected,
)
from MemorizingSAM3DLib.learning.training.log import read_log
from MemorizingSAM3DLib.learning.training.trainer import STATE, averaged_with_memory
from Testing.learning.small_trainings import (
    OPTIONS,
    SEQUENCES,
    a_batch,
    a_memory_trainer,
    a_remembering_network,
)

SIZE, SCALE = 16, 2


def logits(seed: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 1, SIZE, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def a_click(*voxels: float, label: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([[voxels], [voxels]]), torch.tensor([[label], [label]])


def test_what_is_kept_is_what_the_session_keeps():
    old, new = logits(0), logits(1)
    coords, labels = a_click(5.0, 8.0, 20.0)
    kept = kept_logits(old, new, coords, labels, SIZE * SCALE)
    cell = (np.array([5.0, 8.0, 20.0]) + 0.5) / SCALE - 0.5
    for i in range(2):
        before, after = old[i, 0].numpy(), new[i, 0].numpy()
        expected = np.where(accepted_region(before, after, cell, True), after, before)
        hold_clicks(expected, [(np.stack([cell, cell]), True)])
        np.testing.assert_array_equal(kept[i, 0].numpy(), expected)
    assert not torch.equal(kept, new)


def test_the_first_click_keeps_everything_and_is_held():
    new = -logits(2).abs()
    coords, labels = a_click(9.5, 9.5, 9.5)
    kept = kept_logits(None, new, coords, labels, SIZE * SCALE)
    assert (kept[:, 0, 4:6, 4:6, 4:6] > 0).all()
    different = kept != new
    assert different[:, 0, 4:6, 4:6, 4:6].all() and different.sum() <= 2 * 27


def test_where_nothing_was_clicked_nothing_changes():
    old, new = logits(0), logits(1)
    coords, labels = a_click(5.0, 8.0, 20.0, label=-1)
    assert torch.equal(kept_logits(old, new, coords, labels, SIZE * SCALE), old)


def test_gradients_flow_through_what_is_kept_of_the_new_logits_alone():
    old, new = logits(0), logits(1).requires_grad_()
    coords, labels = a_click(5.0, 8.0, 20.0)
    kept = kept_logits(old, new, coords, labels, SIZE * SCALE)
    kept.sum().backward()
    assert torch.equal(new.grad != 0, (kept == new).detach())


def clicks_of(sequence: ClickSequence) -> tuple[torch.Tensor, torch.Tensor]:
    return sequence._user.prompts()


@pytest.fixture
def a_trained_network():
    """One whose memory attention does something: as it is begun with, its last layers are zero."""
    network = a_remembering_network()
    torch.manual_seed(5)
    for name, parameter in network.attention.named_parameters():
        if "out_proj.weight" in name or "lin2.weight" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return network


def test_few_steps_on_one_batch_lower_the_loss():
    objective = MemoryObjective(a_remembering_network(), MemoryOptions(window=3, longest=3), 0)
    optimizer = torch.optim.AdamW([p for p in objective.network.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(12):
        loss, _ = objective(a_batch(0), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("memory", [True, False])
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, memory):
    whole = a_memory_trainer(tmp_path / "whole", memory=memory)
    assert whole.run()
    stopped = a_memory_trainer(tmp_path / "stopped", memory=memory)
    assert not stopped.run(stop=lambda: stopped.step == 1)
    resumed = a_memory_trainer(tmp_path / "stopped", seed=9, memory=memory)
    assert resumed.step == 2 and resumed.run()
    expected = whole.objective.network.state_dict()
    for name, value in resumed.objective.network.state_dict().items():
        assert torch.equal(value, expected[name]), name
        assert torch.equal(resumed.average[name], whole.average[name]), name
    losses = [[line["loss"] for line in read_log(tmp_path / name / "log.csv")] for name in ("whole", "stopped")]
    assert losses[0] == losses[1]


def test_the_average_of_a_run_is_read_again_with_and_without_memory(tmp_path):
    for memory in (True, False):
        trainer = a_memory_trainer(tmp_path / str(memory), replace(OPTIONS, steps=1), memory=memory)
        trainer.run()
        network = averaged_with_memory(tmp_path / str(memory) / STATE)
        assert (network.attention is not None) == memory
        for name, value in network.state_dict().items():
            assert torch.equal(value, trainer.average[name]), name


def test_the_encoder_stays_and_the_memory_attention_takes_ten_times_the_rate(tmp_path):
    trainer = a_memory_trainer(tmp_path, replace(OPTIONS, steps=2, warm_up=0, weight_decay=0.0, precision="float32"))
    before = {name: value.clone() for name, value in trainer.objective.network.state_dict().items()}
    (batch,) = trainer.source.batches(0, 1)
    trainer.train_step(batch)
    changes = {
        name: (value - before[name]).abs().max().item()
        for name, value in trainer.objective.network.named_parameters()
    }  # fmt: skip
    assert all(change == 0 for name, change in changes.items() if "image_encoder" in name)
    # Adam's first step moves each number by the rate, whatever its gradient.
    assert max(c for name, c in changes.items() if name.startswith("attention.")) == pytest.approx(1e-2, rel=0.01)
    assert max(c for name, c in changes.items() if name.startswith("sam3d.")) == pytest.approx(1e-3, rel=0.01)


def test_the_rate_becomes_a_tenth_at_129_and_at_180_of_200(tmp_path):
    trainer = a_memory_trainer(tmp_path, replace(OPTIONS, steps=200, warm_up=0, schedule="steps"))
    rates = [trainer.learning_rate(step) for step in (0, 128, 129, 179, 180, 199)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])


def test_an_untrained_memory_changes_neither_clicks_nor_loss():
    with_memory, without = (
        MemoryObjective(a_remembering_network(memory=memory), SEQUENCES, 0) for memory in (True, False)
    )
    for step in range(3):
        expected, figures = without(a_batch(0, 1), step)
        loss, own = with_memory(a_batch(0, 1), step)
        assert torch.equal(loss, expected) and torch.equal(own, figures)
    sequences = [ClickSequence(o.network, a_batch(0, 1), SEQUENCES, 0) for o in (with_memory, without)]
    with torch.no_grad():
        for _ in range(6):
            assert torch.equal(*(sequence.click() for sequence in sequences))
    for one, other in zip(*map(clicks_of, sequences), strict=True):
        assert torch.equal(one, other)


def test_a_trained_memory_hears_past_clicks(a_trained_network):
    attended = ClickSequence(a_trained_network, a_batch(0), SEQUENCES, 0)
    deaf = ClickSequence(a_remembering_network(memory=False), a_batch(0), SEQUENCES, 0)
    with torch.no_grad():
        assert torch.equal(attended.click(), deaf.click())  # the first click remembers nothing
        assert not torch.equal(attended.click(), deaf.click())


def test_no_more_is_remembered_than_the_bank_holds(a_trained_network):
    sequence = ClickSequence(a_trained_network, a_batch(0), SEQUENCES, 0)
    with torch.no_grad():
        for _ in range(7):
            sequence.click()
    assert sequence._stack().ages.tolist() == [3, 2, 1, 0]


def test_gradients_of_the_window_reach_the_attention_and_what_is_remembered(a_trained_network):
    objective = MemoryObjective(a_trained_network, replace(SEQUENCES, window=3, from_start=1.0), 0)
    loss, _ = objective(a_batch(0), 0)
    loss.backward()
    missing = [name for name, p in a_trained_network.attention.named_parameters() if p.grad is None]
    assert missing == []
    assert all(p.grad is None for p in a_trained_network.sam3d.image_encoder.parameters())


def test_gradients_flow_through_memories_of_the_window_but_not_through_those_before_it(a_trained_network):
    sequence = ClickSequence(a_trained_network, a_batch(0), SEQUENCES, 0)
    with torch.no_grad():
        sequence.click()
    sequence.project_again()
    past = sequence._memories[0]
    assert not past.sparse.requires_grad and sequence._projected[0].dense.key.requires_grad
    sequence.click()
    written = sequence._memories[1]
    written.dense.retain_grad()
    written.sparse.retain_grad()
    sequence.click(remember=False).sum().backward()
    assert written.dense.grad.abs().max() > 0 and written.sparse.grad.abs().max() > 0


def test_memories_projected_together_are_as_when_projected_alone(a_trained_network):
    sequence = ClickSequence(a_trained_network, a_batch(0, 1), SEQUENCES, 0)
    with torch.no_grad():
        for _ in range(3):
            sequence.click()
        alone = sequence._projected
        for own, other in zip(alone, projected(a_trained_network.attention, sequence._memories), strict=True):
            for half, again in zip(own, other, strict=True):
                for part, same in zip(half, again, strict=True):
                    torch.testing.assert_close(part, same)


def test_the_first_click_is_the_models_own_unless_it_is_trained_along():
    network = a_remembering_network()
    with torch.no_grad():
        expected = ClickSequence(a_remembering_network(memory=False), a_batch(0), SEQUENCES, 0).click()
    own = MemoryObjective(network, SEQUENCES, 0)
    tuned = MemoryObjective(network, replace(SEQUENCES, from_first_click=True), 0)
    with torch.no_grad():
        for parameter in network.sam3d.mask_decoder.parameters():
            parameter.mul_(1.1)
        first = [
            ClickSequence(network, a_batch(0), SEQUENCES, 0, objective.plain).click() for objective in (own, tuned)
        ]
    assert torch.equal(first[0], expected) and not torch.equal(first[1], expected)


def test_sequences_are_most_often_short_and_reach_the_longest():
    options = MemoryOptions(window=4, longest=150, from_start=0.25)
    drawn = [options.clicks_before(np.random.default_rng([0, step])) for step in range(2000)]
    assert min(drawn) == 0 and 130 < max(drawn) <= 146
    assert np.median(drawn) < 8 and np.mean(drawn) < 30
    assert MemoryOptions(window=4, longest=4).clicks_before(np.random.default_rng(0)) == 0


def test_on_a_device_clicks_follow_from_the_seed_alone():
    options = replace(SEQUENCES, on_device=True, as_session=False)
    one, other = (MemoryObjective(a_remembering_network(), options, 3)(a_batch(0, 1), 4)[0] for _ in range(2))
    assert torch.equal(one, other)


def test_steps_that_stay_with_their_crops_go_on_with_the_sequence():
    network, batch = a_remembering_network(), a_batch(0, 1)
    objective = MemoryObjective(network, MemoryOptions(bank_size=9, window=2, longest=8, stay=3, from_start=1.0), 0)
    before, sequences = [], []
    for step in range(4):
        loss, figures = objective(batch, step)
        loss.backward()
        before.append(int(figures[0]))
        sequences.append(None if objective._going_on is None else objective._going_on[1])
    assert before == [0, 2, 4, 0]
    assert sequences[0] is sequences[1] is not None and sequences[2] is None and sequences[3] is not sequences[0]
    assert len(sequences[0]._memories) == 5  # what the last click leaves nobody uses
    assert clicks_of(sequences[0])[0].shape[1] == 6


def test_where_a_sequence_was_lost_its_clicks_are_made_again():
    network, batch = a_remembering_network(), a_batch(0, 1)
    options = MemoryOptions(bank_size=9, window=2, longest=8, stay=3, from_start=1.0)
    going, stopped = (MemoryObjective(network, options, 0) for _ in range(2))
    with torch.no_grad():  # the weights stay
        going(batch, 0)
        expected, found = going(batch, 1), stopped(batch, 1)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_another_batch_is_no_reason_to_go_on():
    objective = MemoryObjective(a_remembering_network(), MemoryOptions(window=2, longest=8, stay=2), 0)
    first, second = a_batch(0), a_batch(0)
    objective(first, 0)
    assert objective._going_on[1].batch is first
    assert objective._sequence(second, 1, 0).batch is second
