from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from MemorizingSAM3DLib.engine.memory.interaction_weights import InteractionMemory, save_interaction_memory
from MemorizingSAM3DLib.engine.predictor import Predictor
from MemorizingSAM3DLib.engine.runtime import choose_runtime
from MemorizingSAM3DLib.learning import memory_choice
from MemorizingSAM3DLib.learning.distributed import TrainingError
from MemorizingSAM3DLib.learning.memory_choice import MemoryChoice
from Testing.learning.small_trainings import a_network, a_remembering_network

CPU = choose_runtime("cpu")


@pytest.fixture
def a_file(tmp_path):
    network = a_remembering_network()
    with torch.no_grad():
        for parameter in network.sam3d.mask_decoder.parameters():
            parameter.add_(0.25)
    decoder = network.sam3d.mask_decoder.state_dict()
    memory = InteractionMemory(network.attention, network.sam3d.prompt_encoder.state_dict(), decoder)
    save_interaction_memory(tmp_path / "memory.safetensors", memory, a_network())
    return tmp_path / "memory.safetensors"


def test_a_file_is_heard_by_as_many_interactions_as_it_was_trained_with(a_file):
    predictor, facts = MemoryChoice(str(a_file)).predictor(a_network(), CPU)
    assert facts["bank_size"] == 4
    assert facts["file"] == "memory.safetensors" and facts["heard"] and facts["tuned_decoder"]
    other, again = MemoryChoice(str(a_file), bank_size=7).predictor(a_network(), CPU)
    assert again["bank_size"] == 7 and again["digest"] == facts["digest"]
    assert len({predictor.settings, other.settings, Predictor(a_network(), CPU).settings}) == 3


def test_unheard_its_decoder_takes_the_models_place(a_file):
    network = a_network()
    predictor, facts = MemoryChoice(str(a_file), heard=False).predictor(network, CPU)
    assert predictor.settings == Predictor(network, CPU).settings and not facts["heard"]
    own, tuned = network.mask_decoder.mask_token.weight, predictor.network.mask_decoder.mask_token.weight
    torch.testing.assert_close(tuned, own + 0.25, atol=1e-3, rtol=0)


def test_off_and_a_model_without_memory_hear_nothing(monkeypatch):
    for choice in (MemoryChoice("off"), MemoryChoice()):
        monkeypatch.setattr(memory_choice, "load_default_interaction_memory", lambda network: None)
        predictor, facts = choice.predictor(a_network(), CPU)
        assert facts is None and predictor.settings == Predictor(a_network(), CPU).settings
    with pytest.raises(TrainingError, match="No interaction memory comes with this model"):
        MemoryChoice("on").predictor(a_network(), CPU)


def test_the_one_that_comes_with_the_model_is_heard_unless_it_is_turned_off(monkeypatch):
    memory = InteractionMemory(a_remembering_network().attention)
    monkeypatch.setattr(memory_choice, "load_default_interaction_memory", lambda network: memory)
    for choice in (MemoryChoice(), MemoryChoice("on")):
        assert choice.predictor(a_network(), CPU)[1]["file"] == "shipped"
    assert replace(choice, which="off").memory_for(a_network()) is None
