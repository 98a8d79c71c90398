from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.networks.click_maps import ClickCanvas
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.small_networks import SMALL_NATIVE

NATIVE = SMALL_NATIVE.with_(image_size=64)
SIZE = NATIVE.output_size
IMAGE = torch.rand(1, 1, SIZE, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
CLICKS = torch.rand(1, 12, 3, generator=torch.Generator().manual_seed(1)) * 63
LABELS = torch.tensor([[1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1]])


def a_network():
    torch.manual_seed(0)
    return build_network(NATIVE).eval().requires_grad_(False)


def features_of(network):
    return network.encode(torch.rand(1, 1, 64, 64, 64, generator=torch.Generator().manual_seed(2)))


def test_the_maps_on_a_canvas_are_those_drawn_at_once():
    encoder = a_network().prompt_encoder
    at_once = torch.cat(
        [encoder.click_maps(CLICKS, LABELS), encoder.likeness_maps(CLICKS, LABELS, IMAGE)], dim=1
    )  # fmt: skip
    one_by_one = torch.stack(encoder._maps_on(ClickCanvas(), CLICKS, LABELS, IMAGE))[None]
    torch.testing.assert_close(one_by_one, at_once, atol=1e-6, rtol=1e-5)


def test_a_network_gives_the_same_logits_with_a_canvas():
    network = a_network()
    with torch.inference_mode():
        features, past = features_of(network), torch.rand(1, 1, SIZE, SIZE, SIZE)
        for previous in (None, past):
            with_canvas = network.decode(features, CLICKS, LABELS, previous, canvas=ClickCanvas())
            torch.testing.assert_close(with_canvas, network.decode(features, CLICKS, LABELS, previous))


def test_only_the_newest_click_is_drawn_and_a_dragged_one_again():
    network, canvas = a_network(), ClickCanvas()
    with torch.inference_mode():
        features = features_of(network)
        for count in range(1, 7):
            network.decode(features, CLICKS[:, :count], LABELS[:, :count], canvas=canvas)
            assert canvas.drawn_clicks == count
        network.decode(features, CLICKS[:, :6], LABELS[:, :6], canvas=canvas)
        assert canvas.drawn_clicks == 6
        dragged = CLICKS[:, :6].clone()
        dragged[0, -1] += 1.5
        network.decode(features, dragged, LABELS[:, :6], canvas=canvas)
        assert canvas.drawn_clicks == 7


def test_another_crop_begins_the_canvas_anew():
    network, canvas = a_network(), ClickCanvas()
    with torch.inference_mode():
        first, second = features_of(network), features_of(network)
        second = second._replace(image=second.image + 1)
        network.decode(first, CLICKS, LABELS, canvas=canvas)
        after_another = network.decode(second, CLICKS, LABELS, canvas=canvas)
        fresh = network.decode(second, CLICKS, LABELS, canvas=ClickCanvas())
    assert torch.equal(after_another, fresh)
    assert canvas.drawn_clicks == 2 * CLICKS.shape[1]


def test_a_cleared_canvas_holds_nothing():
    canvas = ClickCanvas()
    a_network().prompt_encoder._maps_on(canvas, CLICKS, LABELS, IMAGE)
    canvas.clear()
    assert canvas._image is None and canvas._kept == []


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=6, unique=True), min_size=1, max_size=6))
def test_whatever_was_drawn_before_the_same_clicks_give_the_same_bits(sequences):
    encoder, canvas = a_network().prompt_encoder, ClickCanvas()
    for chosen in sequences:
        clicks, labels = CLICKS[:, chosen], LABELS[:, chosen]
        used = torch.stack(encoder._maps_on(canvas, clicks, labels, IMAGE))
        fresh = torch.stack(encoder._maps_on(ClickCanvas(), clicks, labels, IMAGE))
        assert torch.equal(used, fresh)


def test_what_is_kept_does_not_grow_with_the_clicks():
    canvas, encoder = ClickCanvas(), a_network().prompt_encoder
    for count in range(1, 40):
        clicks = CLICKS.repeat(1, 4, 1)[:, :count]
        encoder._maps_on(canvas, clicks, LABELS.repeat(1, 4)[:, :count], IMAGE)
    assert len(canvas._kept) == 2
