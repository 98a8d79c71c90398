"""Replayed calls give what the network gives, whatever number of clicks they are padded to."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.interaction_memory.bank import InteractionBank
from MemorizingSAM3DLib.engine.networks.memory_attention import conditioned
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.cuda_graphs import BUCKETS, GraphedCalls, bucket_for
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.runtime.out_of_memory import TorchMemory
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from Testing.engine.replaying import ReplayingBackend, tensors_of
from Testing.engine.scarce_memory import ScarceMemory, TooLittleError
from Testing.engine.small_memories import a_memory, a_network, seeded, some_interactions
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE, SMALL_SAM_MED3D
from Testing.engine.small_sessions import SCAN, a_session, masks_of, same, some_clicks

CPU = choose_runtime("cpu")
NATIVE, PUBLISHED = a_network(), a_network("published")


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def graphed(most: int = 24, error: Exception | None = None) -> tuple[GraphedCalls, ReplayingBackend]:
    backend = ReplayingBackend(error)
    return GraphedCalls(backend, TorchMemory(), most), backend


def an_image(network, seed: int = 0):
    return torch.randn(1, 1, *[network.config.image_size] * 3, generator=seeded(seed))


def some_prompts(network, count: int, seed: int = 0):
    coords = torch.rand(1, count, 3, generator=seeded(seed)) * (network.config.image_size - 1)
    return coords, torch.arange(count)[None] % 3 % 2


def some_logits(network, seed: int = 0):
    return torch.randn(1, 1, *[network.config.output_size] * 3, generator=seeded(50 + seed))


@pytest.mark.parametrize(
    ("clicks", "bucket"), [(0, None), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (33, 64), (256, 256), (257, None)]
)
def test_clicks_are_padded_to_the_next_number_that_is_recorded(clicks, bucket):
    assert bucket_for(clicks) == bucket


def test_a_recorded_number_is_twice_the_one_before():
    assert list(BUCKETS) == [2**power for power in range(9)]


@pytest.mark.parametrize("with_logits", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_padded_clicks_lead_to_the_logits_of_the_clicks_alone(count, with_logits):
    calls, _ = graphed()
    features = NATIVE.encode(an_image(NATIVE))
    coords, labels = some_prompts(NATIVE, count)
    past = some_logits(NATIVE) if with_logits else None
    expected = NATIVE.decode(features, coords, labels, past)
    torch.testing.assert_close(calls.decode(NATIVE, features, coords, labels, past), expected, atol=1e-4, rtol=1e-4)


def test_a_graph_serves_other_clicks_other_logits_and_other_crops():
    calls, backend = graphed()
    for seed in range(3):
        features = NATIVE.encode(an_image(NATIVE, seed))
        for count in (3, 4):
            coords, labels = some_prompts(NATIVE, count, 10 * seed + count)
            past = some_logits(NATIVE, seed)
            expected = NATIVE.decode(features, coords, labels, past)
            found = calls.decode(NATIVE, features, coords, labels, past)
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert (backend.records, backend.replays) == (1, 6)


def test_fewer_clicks_after_more_leave_nothing_of_those_behind():
    calls, _ = graphed()
    features = NATIVE.encode(an_image(NATIVE))
    calls.decode(NATIVE, features, *some_prompts(NATIVE, 8))
    coords, labels = some_prompts(NATIVE, 5, 1)
    expected = NATIVE.decode(features, coords, labels)
    torch.testing.assert_close(calls.decode(NATIVE, features, coords, labels), expected, atol=1e-4, rtol=1e-4)


def test_graphs_are_recorded_for_each_number_of_clicks_with_and_without_logits_and_for_each_network():
    calls, backend = graphed()
    features, other = NATIVE.encode(an_image(NATIVE)), a_network()
    for count in (1, 2, 3, 4):
        for past in (None, some_logits(NATIVE)):
            calls.decode(NATIVE, features, *some_prompts(NATIVE, count), past)
    assert backend.records == 6
    calls.decode(other, features, *some_prompts(NATIVE, 1))
    assert backend.records == 7


def test_what_was_given_out_is_not_overwritten_by_the_next_call():
    calls, _ = graphed()
    features = calls.encode(NATIVE, an_image(NATIVE))
    logits = calls.decode(NATIVE, features, *some_prompts(NATIVE, 2))
    kept = [tensor.clone() for tensor in (*tensors_of(features), logits)]
    second = calls.encode(NATIVE, an_image(NATIVE, 1))
    calls.decode(NATIVE, second, *some_prompts(NATIVE, 2, 1))
    for tensor, copy in zip((*tensors_of(features), logits), kept, strict=True):
        assert torch.equal(tensor, copy)


@pytest.mark.parametrize("network", [NATIVE, PUBLISHED], ids=["native", "published"])
def test_encoding_is_replayed_and_gives_the_networks_features(network):
    calls, backend = graphed()
    for seed in range(3):
        image = an_image(network, seed)
        found, expected = calls.encode(network, image), network.encode(image)
        for one, other in zip(tensors_of(found), tensors_of(expected), strict=True):
            torch.testing.assert_close(one, other)
    assert (backend.records, backend.replays) == (1, 3)


def test_published_networks_are_replayed_for_their_one_click_and_never_padded():
    calls, backend = graphed()
    features, past = PUBLISHED.encode(an_image(PUBLISHED)), some_logits(PUBLISHED)
    for count in (1, 3):
        coords, labels = some_prompts(PUBLISHED, count)
        expected = PUBLISHED.decode(features, coords, labels, past)
        torch.testing.assert_close(calls.decode(PUBLISHED, features, coords, labels, past), expected)
    assert backend.records == 1


def test_features_that_lie_where_graphs_read_them_are_not_copied_again(monkeypatch):
    calls, _ = graphed()
    features, others = NATIVE.encode(an_image(NATIVE)), NATIVE.encode(an_image(NATIVE, 1))
    sources = []
    copy = torch.Tensor.copy_
    monkeypatch.setattr(
        torch.Tensor, "copy_", lambda self, source, **o: (sources.append(source), copy(self, source))[1]
    )

    def copied(given) -> int:
        sources.clear()
        calls.decode(NATIVE, given, *some_prompts(NATIVE, 1))
        return sum(any(source is tensor for source in sources) for tensor in tensors_of(given))

    everything = len(list(tensors_of(features)))
    assert [copied(features), copied(features)] == [everything, 0]
    assert copied(features._replace(embedding=others.embedding)) == 1
    assert [copied(others), copied(others)] == [everything - 1, 0]


def test_the_least_recently_used_graph_goes_first():
    calls, backend = graphed(most=2)
    features = NATIVE.encode(an_image(NATIVE))
    for count in (1, 2, 1, 4):
        calls.decode(NATIVE, features, *some_prompts(NATIVE, count))
    assert backend.records == 3
    for count in (1, 4):
        calls.decode(NATIVE, features, *some_prompts(NATIVE, count))
    assert backend.records == 3
    calls.decode(NATIVE, features, *some_prompts(NATIVE, 2))
    assert backend.records == 4


def test_what_was_cleared_is_recorded_anew():
    calls, backend = graphed()
    features = NATIVE.encode(an_image(NATIVE))
    for _ in range(2):
        calls.decode(NATIVE, features, *some_prompts(NATIVE, 1))
        calls.clear()
    assert backend.records == 2


def test_what_cannot_be_recorded_is_called_as_it_is_tried_once_and_said():
    calls, backend = graphed(error=RuntimeError("operation not permitted when stream is capturing\nmore"))
    features = NATIVE.encode(an_image(NATIVE))
    coords, labels = some_prompts(NATIVE, 3)
    for _ in range(2):
        assert torch.equal(calls.decode(NATIVE, features, coords, labels), NATIVE.decode(features, coords, labels))
    assert backend.records == 1
    assert calls.problem == "operation not permitted when stream is capturing"
    image = an_image(NATIVE, 2)
    assert torch.equal(calls.encode(NATIVE, image).embedding, NATIVE.encode(image).embedding)


def test_a_call_that_can_be_recorded_is_although_another_cannot():
    calls, backend = graphed(error=RuntimeError("no"))
    calls.encode(NATIVE, an_image(NATIVE))
    backend.error = None
    features = NATIVE.encode(an_image(NATIVE))
    calls.decode(NATIVE, features, *some_prompts(NATIVE, 1))
    assert backend.replays == 1


def test_too_little_memory_for_a_graph_is_the_ladders_business_and_records_nothing_any_more():
    network = a_network()
    backend = ReplayingBackend(TooLittleError("CUDA out of memory"))
    predictor = Predictor(network, CPU, device_memory=ScarceMemory(), graphs=backend)
    session = InteractiveSession(predictor)
    session.set_image(SCAN)
    session.add_click(some_clicks(1)[0])
    assert predictor.graphs is None and backend.records == 1
    assert predictor.fallback.warning is not None


@pytest.mark.parametrize("with_memory", [False, True], ids=["plain", "with memory"])
def test_a_session_gives_the_same_masks_with_graphs_as_without(with_memory):
    network = a_network()
    memory = a_memory(network, tuned=True) if with_memory else None
    backend, clicks = ReplayingBackend(), some_clicks(6)
    replayed = InteractiveSession(Predictor(network, CPU, interaction_memory=memory, graphs=backend))
    replayed.set_image(SCAN)
    plain = a_session(network, memory, size=60)
    assert same(masks_of(replayed, clicks), masks_of(plain, clicks)) == [True] * 6
    assert 0 < backend.records < backend.replays


def a_bank(size: int = 60):
    """With the network that it belongs to, and its attention."""
    memory = a_memory(NATIVE)
    attention = memory.attention.eval()
    return InteractionBank(attention, NATIVE.prompt_encoder, size), attention


GRID = CropGrid((0.0, 0.0, 0.0), 2.0, NATIVE.config.image_size)


@pytest.mark.parametrize(("count", "size"), [(1, 60), (5, 60), (16, 60), (17, 60), (33, 60), (70, 60), (9, 4)])
def test_replayed_memory_attention_is_what_the_attention_gives(count, size):
    calls, backend = graphed()
    bank, attention = a_bank(size)
    features = NATIVE.encode(an_image(NATIVE))
    memories = some_interactions(count, attention.config, GRID)[-size:]
    wanted = conditioned(NATIVE, attention, features, bank.load(memories, GRID))
    found = calls.condition(NATIVE, attention, features, bank.load_padded(memories, GRID))
    torch.testing.assert_close(found.embedding, wanted.embedding, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(found.embedding, features.embedding, atol=1e-3)
    assert found.skips is features.skips and backend.replays == 1


def test_one_more_memory_replays_the_same_graph_and_an_undone_one_is_not_heard():
    calls, backend = graphed()
    bank, attention = a_bank()
    features = NATIVE.encode(an_image(NATIVE))
    memories = some_interactions(9, attention.config, GRID)
    found = [calls.condition(NATIVE, attention, features, bank.load_padded(memories[:n], GRID)) for n in (8, 9, 8)]
    assert backend.records == 1 and backend.replays == 3
    assert torch.equal(found[0].embedding, found[2].embedding)
    assert not torch.equal(found[0].embedding, found[1].embedding)


def test_graphs_of_a_bank_that_was_let_go_go_with_it():
    calls, backend = graphed()
    bank, attention = a_bank()
    features = NATIVE.encode(an_image(NATIVE))
    memories = some_interactions(3, attention.config, GRID)
    held = bank.load_padded(memories, GRID)
    calls.condition(NATIVE, attention, features, held)
    assert len(calls._graphs) == 1
    bank.clear()
    calls.condition(NATIVE, attention, features, bank.load_padded(memories, GRID))
    assert len(calls._graphs) == 1 and backend.records == 2
    calls.forget_memories()
    assert not calls._graphs


def test_memory_attention_that_cannot_be_recorded_is_computed():
    calls, _ = graphed(error=RuntimeError("operation not permitted"))
    bank, attention = a_bank()
    features = NATIVE.encode(an_image(NATIVE))
    memories = some_interactions(3, attention.config, GRID)
    wanted = conditioned(NATIVE, attention, features, bank.load(memories, GRID))
    found = calls.condition(NATIVE, attention, features, bank.load_padded(memories, GRID))
    torch.testing.assert_close(found.embedding, wanted.embedding, rtol=1e-5, atol=1e-5)
    assert calls.problem == "operation not permitted"


def test_replayed_logits_are_within_a_thousandth_of_the_networks():
    network, grid = a_network(), CropGrid((0.0, 0.0, 0.0), 2.0, 64)
    clicks = [Click((float(n), 0.0, 0.0), n % 2 == 0) for n in range(7)]
    found = []
    for graphs in (None, ReplayingBackend()):
        predictor = Predictor(network, CPU, graphs=graphs)
        predictor.set_volume(SCAN)
        found.append(predictor.logits(grid, clicks, None))
    assert np.abs(found[0] - found[1]).max() < 1e-3


def test_without_a_gpu_nothing_is_recorded():
    assert Predictor(a_network(), CPU).graphs is None


@pytest.mark.parametrize("config", [SMALL_NATIVE, SMALL_SAM_MED3D, SMALL_FASTSAM3D], ids=lambda config: config.family)
def test_networks_on_another_device_than_the_cpu_ask_nothing_that_the_host_would_have_to_wait_for(config, monkeypatch):
    """What a CUDA graph cannot record fails on tensors without values: looking at one, and mixing devices."""
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **options: nullcontext())  # which knows no such device
    with torch.device("meta"):
        network = build_network(config).eval().requires_grad_(False)
        features = network.encode(torch.empty(1, 1, *[config.image_size] * 3))
        past = torch.empty(1, 1, *[config.output_size] * 3)
        for count in (1, 8):
            logits = network.decode(features, torch.empty(1, count, 3), torch.empty(1, count, dtype=torch.long), past)
            assert logits.is_meta and logits.shape == past.shape
        assert network.decode(features, torch.empty(1, 2, 3), torch.empty(1, 2, dtype=torch.long)).shape == past.shape
