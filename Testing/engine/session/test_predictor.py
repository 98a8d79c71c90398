"""A crop is encoded once; a click costs the decoder only."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.errors import VolumeError
from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.prompts import Click
from MemorizingSAM3DLib.engine.runtime.device import choose_runtime
from MemorizingSAM3DLib.engine.runtime.worker import CancelledError, CancelToken
from MemorizingSAM3DLib.engine.session.predictor import Predictor
from Testing.engine.click_networks import PUBLISHED_CROP, SMALL_CROP, BrightnessNetwork
from Testing.engine.phantoms import ball, ct_of
from Testing.engine.small_networks import SMALL_NATIVE, SMALL_SAM_MED3D

GRIDS = [CropGrid((float(r), 0.0, 0.0), 1.0, 64) for r in range(5)]
CLICK = Click((1.0, 2.0, 3.0))


def a_predictor(config=SMALL_CROP, embeddings: int = 8, precision="float32") -> Predictor:
    predictor = Predictor(BrightnessNetwork(config), choose_runtime("cpu", precision), embeddings)
    predictor.set_volume(ct_of(ball(12), (30, 28, 26), 2.0)[0])
    return predictor


def encodes_of(predictor: Predictor, grid: CropGrid) -> int:
    before = predictor.network.encodes
    predictor.logits(grid, [CLICK], None)
    return predictor.network.encodes - before


def test_a_crop_is_encoded_once():
    predictor = a_predictor()
    assert [encodes_of(predictor, GRIDS[0]) for _ in range(3)] == [1, 0, 0]


def test_the_least_recently_used_crop_goes_first():
    predictor = a_predictor(embeddings=2)
    for grid in (GRIDS[0], GRIDS[1], GRIDS[0], GRIDS[2]):
        encodes_of(predictor, grid)
    assert [encodes_of(predictor, grid) for grid in (GRIDS[0], GRIDS[2])] == [0, 0]
    assert encodes_of(predictor, GRIDS[1]) == 1


def test_no_embeddings_are_kept_when_none_may_be():
    predictor = a_predictor(embeddings=0)
    assert [encodes_of(predictor, GRIDS[0]) for _ in range(3)] == [1, 1, 1]


def test_another_scan_drops_the_crops_of_the_last_one():
    predictor = a_predictor()
    encodes_of(predictor, GRIDS[0])
    predictor.set_volume(ct_of(ball(5), (30, 28, 26), 2.0)[0])
    assert encodes_of(predictor, GRIDS[0]) == 1


def test_the_same_scan_again_keeps_them():
    predictor = a_predictor()
    encodes_of(predictor, GRIDS[0])
    predictor.set_volume(predictor.volume)
    assert encodes_of(predictor, GRIDS[0]) == 0


def test_without_a_scan_it_says_so():
    with pytest.raises(VolumeError, match="Choose a scan first"):
        _ = Predictor(BrightnessNetwork(), choose_runtime("cpu")).volume


def test_native_networks_hear_every_click_of_the_crop_in_its_voxels():
    predictor = a_predictor()
    clicks = [Click((-31.5, 0.5, 1.5)), Click((500.0, 0.0, 0.0)), Click((4.0, -7.5, 2.25), positive=False)]
    predictor.logits(GRIDS[0], clicks, None)
    coords, labels, previous = predictor.network.attended[-1]
    assert coords.tolist() == [[[0.0, 32.0, 33.0], [35.5, 24.0, 33.75]]]
    assert labels.tolist() == [[1, 0]]
    assert previous is None


def test_published_networks_hear_the_newest_click_of_the_crop_only():
    predictor = a_predictor(PUBLISHED_CROP)
    previous = np.full((32, 32, 32), 0.5, np.float32)
    clicks = [CLICK, Click((4.0, -7.5, 2.25), positive=False), Click((500.0, 0.0, 0.0))]
    predictor.logits(CropGrid((0.0, 0.0, 0.0), 1.5, 128), clicks, previous)
    coords, labels, attended = predictor.network.attended[-1]
    assert coords[0].numpy() == pytest.approx(np.array([[4 / 1.5 + 63.5, -5 + 63.5, 1.5 + 63.5]]))
    assert labels.tolist() == [[0]]
    assert (attended[0, 0].numpy() == previous).all()


def test_published_networks_are_shown_a_millimetre_and_a_half_and_native_ones_a_range():
    assert a_predictor(PUBLISHED_CROP).spacing_range == (1.5, 1.5)
    assert a_predictor().spacing_range == (0.5, 6.0)  # crops of 64^3


def test_what_is_bright_in_the_scan_is_bright_where_the_network_looks():
    predictor = a_predictor()
    logits = predictor.logits(GRIDS[0], [Click((0.0, 0.0, 0.0))], None)
    ras = GRIDS[0].coarser(32).index_to_ras(np.stack(np.indices((32,) * 3), -1))
    radius = np.linalg.norm(ras, axis=-1)
    assert (logits[radius < 9] > 0).all()
    assert (logits[(radius > 15)] < 0).all()


def test_a_modality_that_is_not_given_is_guessed_from_the_voxels():
    scan, unnamed = (ct_of(ball(22), (30, 28, 26), 2.0, levels=(-1000, 60), modality=name)[0] for name in ("CT", None))
    outputs = []
    for volume in (scan, unnamed):
        predictor = a_predictor()
        predictor.set_volume(volume)
        outputs.append(predictor.logits(GRIDS[0], [CLICK], None))
    assert (outputs[0] == outputs[1]).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("config", [SMALL_NATIVE, SMALL_SAM_MED3D], ids=["native", "published"])
def test_real_networks_give_float32_logits_at_any_precision_and_repeat_themselves(config, precision):
    torch.manual_seed(3)
    predictor = Predictor(build_network(config), choose_runtime("cpu", precision))
    predictor.set_volume(ct_of(ball(12), (30, 28, 26), 2.0)[0])
    grid = CropGrid((0.0, 0.0, 0.0), 1.5, 32)
    first = predictor.logits(grid, [CLICK], None)
    second = predictor.logits(grid, [CLICK, Click((0.0, 0.0, 0.0), False)], first)
    assert first.dtype == second.dtype == np.float32
    assert first.shape == (config.output_size,) * 3
    assert np.isfinite(second).all()
    assert (predictor.logits(grid, [CLICK], None) == first).all()


def test_the_network_is_put_to_evaluation_without_gradients():
    network = build_network(SMALL_NATIVE).train()
    Predictor(network, choose_runtime("cpu"))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


class Cancelling(torch.nn.Module):
    """A layer that cancels a token and counts how often it ran."""

    def __init__(self, token: CancelToken) -> None:
        super().__init__()
        self.token, self.runs = token, 0

    def forward(self, x):
        self.runs += 1
        self.token.cancel()
        return x


def test_cancelling_ends_a_network_between_two_layers_and_leaves_no_trace():
    token, network = CancelToken(), BrightnessNetwork()
    network.layers = torch.nn.Sequential(Cancelling(token), Cancelling(token))
    encode = network.encode
    network.encode = lambda image: encode(network.layers(image))
    predictor = Predictor(network, choose_runtime("cpu"))
    predictor.set_volume(ct_of(ball(12), (30, 28, 26), 2.0)[0])

    with pytest.raises(CancelledError), predictor.interruptible(token):
        predictor.features(GRIDS[0])
    assert [layer.runs for layer in network.layers] == [1, 0]
    assert predictor.encodes == 0
    predictor.features(GRIDS[0])
    assert [layer.runs for layer in network.layers] == [2, 1]
    assert predictor.encodes == 1


def test_a_token_that_is_cancelled_before_ends_it_before_the_scan_is_resampled(monkeypatch):
    predictor, token = a_predictor(), CancelToken()
    token.cancel()
    monkeypatch.setattr("MemorizingSAM3DLib.engine.session.predictor.resample_to_crop", None)

    for compute in (lambda: predictor.features(GRIDS[0]), lambda: predictor.logits(GRIDS[0], [CLICK], None)):
        with pytest.raises(CancelledError), predictor.interruptible(token):
            compute()


def test_a_crop_that_is_encoded_is_decoded_no_more_after_cancelling():
    predictor, token = a_predictor(), CancelToken()
    predictor.features(GRIDS[0])
    token.cancel()

    with pytest.raises(CancelledError), predictor.interruptible(token):
        predictor.logits(GRIDS[0], [CLICK], None)
    assert predictor.network.decodes == 0


def test_a_token_that_nobody_cancels_changes_nothing():
    predictor = a_predictor()
    with predictor.interruptible(CancelToken()):
        inside = predictor.logits(GRIDS[0], [CLICK], None)

    assert (inside == predictor.logits(GRIDS[0], [CLICK], None)).all()


def test_a_network_keeps_no_predictor_that_it_was_once_given_to():
    network = BrightnessNetwork()
    predictor = Predictor(network, choose_runtime("cpu"))
    with predictor.interruptible(CancelToken()):
        pass
    reference = weakref.ref(predictor)
    del predictor
    gc.collect()

    assert reference() is None


def test_a_forgotten_scan_has_to_be_set_again():
    predictor = a_predictor()
    volume = predictor.volume
    predictor.features(GRIDS[0])
    predictor.forget_volume()
    with pytest.raises(VolumeError, match="Choose a scan first"):
        predictor.features(GRIDS[1])
    predictor.set_volume(volume)

    assert encodes_of(predictor, GRIDS[0]) == 1
