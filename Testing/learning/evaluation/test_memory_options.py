from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.errors import CaseMemoryError
from MemorizingSAM3DLib.engine.interaction_memory.conditioning import InteractionMemory, save_interaction_memory
from MemorizingSAM3DLib.engine.models.checkpoints import save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.remember_case import open_or_create_case_retrieval, remember
from MemorizingSAM3DLib.learning.data.cases import case_volume
from MemorizingSAM3DLib.learning.evaluation import memory_options
from MemorizingSAM3DLib.learning.evaluation.evaluate import EvaluationOptions, evaluate_case
from MemorizingSAM3DLib.learning.evaluation.memory_options import (
    OFF,
    CaseMemoryChoice,
    EvaluatedRetrieval,
    MemoryChoice,
)
from MemorizingSAM3DLib.learning.evaluation.run import ModelSource
from MemorizingSAM3DLib.learning.processes import TrainingError
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.engine.small_retrievals import CPU as CPU_FOR_TEST_CASE_MEMORY_CHOICE
from Testing.learning.small_evaluations import two_blocks
from Testing.learning.small_trainings import a_network, a_remembering_network


@pytest.fixture
def a_model(tmp_path):
    torch.manual_seed(1)
    save_native(build_network(SMALL_NATIVE), tmp_path / "small.safetensors", {"steps": 9}, "float32")
    return tmp_path / "small.safetensors"


@pytest.fixture
def a_predictor(a_model) -> Predictor:
    return Predictor(
        ModelSource(str(a_model), "cpu", 1, MemoryChoice(OFF)).load()[0].network, CPU_FOR_TEST_CASE_MEMORY_CHOICE
    )


@pytest.fixture
def a_memory(a_predictor, tmp_path):
    """Both blocks of a case, with keys and values of block 1."""
    a_predictor.case_retrieval = open_or_create_case_retrieval(tmp_path / "memory", a_predictor.network, layers=(1,))
    case = two_blocks()
    a_predictor.set_volume(case_volume(case))
    for label, name in case.structures.items():
        remember(a_predictor, np.ascontiguousarray((case.labels == label).transpose(2, 1, 0)), name, "training")
    a_predictor.case_retrieval = None
    return tmp_path / "memory"


def test_a_recall_is_told_of_the_clicked_structure_as_far_as_it_may_know(a_predictor, a_memory):
    for names, told in (("all", (None, None)), ("known", ("liver", None)), ("absent", (None, "liver"))):
        CaseMemoryChoice(a_memory, names=names).attach(a_predictor)
        retrieval = a_predictor.case_retrieval
        assert isinstance(retrieval, EvaluatedRetrieval)
        retrieval.clicked("liver")
        assert (retrieval.structure, retrieval.excluded) == told


def test_each_structure_is_told_before_it_is_clicked(a_predictor, a_memory, monkeypatch):
    CaseMemoryChoice(a_memory, names="known").attach(a_predictor)
    asked = []
    monkeypatch.setattr(EvaluatedRetrieval, "retrieve_shape_prior", lambda self, *_: asked.append(self.structure))
    list(evaluate_case(a_predictor, two_blocks(), [1, 2], EvaluationOptions(clicks=1)))
    assert asked == ["left block", "right block"]


def test_attention_alone_does_not_ask_and_recall_alone_does_not_attend(a_predictor, a_memory):
    facts = CaseMemoryChoice(a_memory, retrieval=False, layers=(1,), neighbours=7).attach(a_predictor)
    assert a_predictor.case_retrieval is None and a_predictor.case_attention.neighbours == 7
    assert facts["recall"] is None and facts["attention"]["neighbours"] == 7
    a_predictor.case_attention = None
    facts = CaseMemoryChoice(a_memory).attach(a_predictor)
    assert a_predictor.case_retrieval.neighbours == 5 and a_predictor.case_attention is None
    assert facts["attention"] is None and facts["cases"] == 2


def test_facts_follow_the_cases(a_predictor, a_memory):
    before = CaseMemoryChoice(a_memory).attach(a_predictor)
    memory = a_predictor.case_retrieval.memory
    memory.remove(memory.ids[0])
    after = CaseMemoryChoice(a_memory).attach(a_predictor)
    assert (before["cases"], after["cases"]) == (2, 1) and before["digest"] != after["digest"]


def test_a_worker_that_gets_the_choice_hears_the_same(a_model, a_memory):
    choice = CaseMemoryChoice(a_memory, layers=(1,), names="known", ratio=0.5)
    source = pickle.loads(pickle.dumps(ModelSource(str(a_model), "cpu", 1, MemoryChoice(OFF), choice)))
    _, predictor, memory, cases = source.load_with_cases()
    assert memory is None and cases["attention"]["local_ratio"] == 0.5
    assert predictor.case_retrieval.names == "known" and list(predictor.case_attention.attention) == [1]


def test_without_a_choice_nothing_is_heard(a_model):
    _, predictor, _, cases = ModelSource(str(a_model), "cpu", 1, MemoryChoice(OFF)).load_with_cases()
    assert cases is None and predictor.case_retrieval is None and predictor.case_attention is None


def test_a_memory_that_is_not_there_is_told(a_predictor, tmp_path):
    with pytest.raises(CaseMemoryError, match="no case memory"):
        CaseMemoryChoice(tmp_path / "nowhere").attach(a_predictor)


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
    predictor, facts = MemoryChoice(str(a_file), attended=False).predictor(network, CPU)
    assert predictor.settings == Predictor(network, CPU).settings and not facts["heard"]
    own, tuned = network.mask_decoder.mask_token.weight, predictor.network.mask_decoder.mask_token.weight
    torch.testing.assert_close(tuned, own + 0.25, atol=1e-3, rtol=0)


def test_off_and_a_model_without_memory_hear_nothing(monkeypatch):
    for choice in (MemoryChoice("off"), MemoryChoice()):
        monkeypatch.setattr(memory_options, "load_default_interaction_memory", lambda network: None)
        predictor, facts = choice.predictor(a_network(), CPU)
        assert facts is None and predictor.settings == Predictor(a_network(), CPU).settings
    with pytest.raises(TrainingError, match="No interaction memory comes with this model"):
        MemoryChoice("on").predictor(a_network(), CPU)


def test_the_one_that_comes_with_the_model_is_heard_unless_it_is_turned_off(monkeypatch):
    memory = InteractionMemory(a_remembering_network().attention)
    monkeypatch.setattr(memory_options, "load_default_interaction_memory", lambda network: memory)
    for choice in (MemoryChoice(), MemoryChoice("on")):
        assert choice.predictor(a_network(), CPU)[1]["file"] == "shipped"
    assert replace(choice, which="off").memory_for(a_network()) is None
