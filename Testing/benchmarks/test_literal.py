from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.benchmarks.literal import literal_encode
from MemorizingSAM3DLib.engine.networks.image_encoder import ImageEncoder
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE, SMALL_SAM_MED3D


def an_encoder(config) -> ImageEncoder:
    torch.manual_seed(0)
    encoder = ImageEncoder(config)
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name or name == "pos_embed":
            torch.nn.init.normal_(parameter, std=0.5)
    return encoder.eval()


@pytest.mark.parametrize("window", [4, 5, 6, 7])
@torch.no_grad()
def test_the_literal_arithmetic_gives_what_the_sink_shortcut_gives(window):
    encoder = an_encoder(SMALL_SAM_MED3D.with_(window=window))
    image = torch.randn(2, 1, 32, 32, 32)
    torch.testing.assert_close(literal_encode(encoder, image), encoder(image), atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_the_padding_is_part_of_the_literal_arithmetic():
    encoder = an_encoder(SMALL_SAM_MED3D)
    image = torch.randn(1, 1, 32, 32, 32)
    embedding = literal_encode(encoder, image)
    for block in encoder.blocks:
        block.attn.qkv.bias[-32:] += 1  # the value of every padded token, and of every real one
    assert (literal_encode(encoder, image) - embedding).abs().max() > 0.01
    torch.testing.assert_close(literal_encode(encoder, image), encoder(image), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", ["dense", "column"])
@torch.no_grad()
def test_the_students_loop_over_segments_gives_what_one_call_gives(attention):
    encoder = an_encoder(SMALL_FASTSAM3D.with_(attention=attention))
    image = torch.randn(1, 1, 32, 32, 32)
    torch.testing.assert_close(literal_encode(encoder, image), encoder(image), atol=2e-5, rtol=1e-4)


def test_encoders_of_another_form_are_refused():
    with pytest.raises(AssertionError):
        literal_encode(an_encoder(SMALL_NATIVE), torch.randn(1, 1, 32, 32, 32))
