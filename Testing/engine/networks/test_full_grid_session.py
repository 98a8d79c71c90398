"""A network with logits on the full grid, from its file to a session's mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D, build_network
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from MemorizingSAM3DLib.engine.session.session import InteractiveSession
from Testing.engine.phantoms import ball, ct_of
from Testing.engine.small_memories import a_memory, an_untrained_memory
from Testing.engine.small_networks import SMALL_FULL_GRID

SCAN, _ = ct_of(ball(12), (30, 28, 26), 2.0)
GRID = CropGrid((0.0, 0.0, 0.0), 1.5, 32)
FIRST, SECOND = Click((1.0, 2.0, 3.0)), Click((9.0, -4.0, 0.0), False)


def a_network(seed: int = 3) -> NativeSAM3D:
    torch.manual_seed(seed)
    network = build_network(SMALL_FULL_GRID).eval()
    torch.nn.init.normal_(network.mask_decoder.hyper.layers[-1].weight, std=0.5)  # random, but not near zero
    return network


def a_predictor(network: NativeSAM3D | None = None, precision="float32", memory=None) -> Predictor:
    predictor = Predictor(network or a_network(), choose_runtime("cpu", precision), interaction_memory=memory)
    predictor.set_volume(SCAN)
    return predictor


def test_it_is_written_and_read_without_a_change(tmp_path):
    network = a_network()
    save_native(network, tmp_path / "full.safetensors", {"steps": 3}, "float32")
    found = load(tmp_path / "full.safetensors")
    assert found.config == SMALL_FULL_GRID
    expected = network.state_dict()
    assert set(found.network.state_dict()) == set(expected)
    assert all(torch.equal(value, expected[name]) for name, value in found.network.state_dict().items())
    logits = [a_predictor(one).logits(GRID, [FIRST], None) for one in (network, found.network)]
    assert np.array_equal(*logits)


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.01), ("int8", 0.2)])
def test_stored_in_fewer_bits_it_gives_nearly_the_same(tmp_path, precision, share):
    network = a_network()
    expected = a_predictor(network).logits(GRID, [FIRST], None)
    save_native(network, tmp_path / "full.safetensors", {}, precision)
    found = a_predictor(load(tmp_path / "full.safetensors").network).logits(GRID, [FIRST], None)
    assert 0 < np.abs(found - expected).max() < share * np.abs(expected).max()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_predictor_gives_float32_logits_for_every_voxel_of_the_crop(precision):
    predictor = a_predictor(precision=precision)
    first = predictor.logits(GRID, [FIRST], None)
    second = predictor.logits(GRID, [FIRST, SECOND], first)
    assert predictor.output_size == 32 and first.shape == second.shape == (32, 32, 32)
    assert first.dtype == second.dtype == np.float32 and np.isfinite(second).all()
    assert np.array_equal(predictor.logits(GRID, [FIRST], None), first)
    assert not np.array_equal(predictor.logits(GRID, [FIRST, SECOND], None), second)


def test_a_click_after_another_crop_is_not_drawn_on_that_ones_image():
    """The maps depend on the crop's image: what one crop left behind must not be seen on the next."""
    predictor, elsewhere = a_predictor(), CropGrid((6.0, 0.0, 0.0), 1.5, 32)
    predictor.logits(elsewhere, [FIRST], None)
    assert np.array_equal(predictor.logits(GRID, [FIRST], None), a_predictor().logits(GRID, [FIRST], None))


def test_a_predictor_counts_all_that_it_keeps_of_a_crop():
    predictor = a_predictor()
    features = predictor.features(GRID)
    kept = [features.embedding, *features.skips, features.image, features.half_image]
    assert predictor.cached_bytes == sum(tensor.nbytes for tensor in kept)


def test_a_session_is_clicked_undone_and_redone():
    session = InteractiveSession(a_predictor())
    session.set_image(SCAN)
    masks = [session.mask.copy()]
    for click in (FIRST, SECOND):
        session.add_click(click)
        masks.append(session.mask.copy())
    assert masks[1].any() and not masks[0].any()
    session.undo()
    assert np.array_equal(session.mask, masks[1])
    session.redo()
    assert np.array_equal(session.mask, masks[2])
    fresh = InteractiveSession(a_predictor())
    fresh.set_image(SCAN)
    for click in (FIRST, SECOND):
        fresh.add_click(click)
    assert np.array_equal(fresh.mask, masks[2])


def test_past_interactions_are_heard_by_a_memory_that_was_trained_and_change_nothing_else():
    network = a_network()
    memories_of = (None, an_untrained_memory(network), a_memory(network))
    plain, untrained, attended = (a_predictor(network, memory=memory) for memory in memories_of)
    first = plain.logits(GRID, [FIRST], None)
    expected = plain.logits(GRID, [FIRST, SECOND], first)
    for predictor in (untrained, attended):
        memories = predictor.append_interaction(GRID, FIRST, predictor.logits(GRID, [FIRST], None))
        found = predictor.logits(GRID, [FIRST, SECOND], first, memories)
        assert len(memories) == 1 and np.isfinite(found).all()
        assert np.allclose(found, expected, atol=1e-4) == (predictor is untrained)
