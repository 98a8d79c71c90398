from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks.config import NetworkConfig
from MemorizingSAM3DLib.engine.networks.image_encoder import (
    Attention,
    Block,
    ImageEncoder,
    PatchEmbed,
    voxels_to_channels,
)
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE, SMALL_SAM_MED3D

NATIVE = SMALL_NATIVE.with_(image_size=64)


def an_encoder(config: NetworkConfig) -> ImageEncoder:
    torch.manual_seed(2)
    encoder = ImageEncoder(config)
    for parameter in encoder.parameters():
        if parameter.ndim > 1 and not parameter.any():  # positions start at zero
            torch.nn.init.normal_(parameter, std=0.3)
    return encoder.eval()


def an_image(config: NetworkConfig, batch: int = 1) -> Tensor:
    return torch.randn(batch, 1, *[config.image_size] * 3, generator=torch.Generator().manual_seed(4))


def test_voxels_of_a_cube_become_channels_in_array_order():
    x = torch.arange(4**3).float().view(1, 1, 4, 4, 4)
    found = voxels_to_channels(x, 2)
    assert found.shape == (1, 2, 2, 2, 8)
    assert found[0, 1, 0, 1].tolist() == x[0, 0, 2:, :2, 2:].flatten().tolist()


def test_the_patch_embedding_is_its_convolution():
    embed, x = PatchEmbed(NATIVE), an_image(NATIVE, 2)
    torch.testing.assert_close(embed(x).movedim(-1, 1), embed.proj(x), atol=1e-5, rtol=1e-5)


def test_early_blocks_have_no_attention():
    encoder = ImageEncoder(SMALL_NATIVE.with_(depth=4, attention_from=2))
    assert [hasattr(block, "attn") for block in encoder.blocks] == [False, False, True, True]
    assert not any("blocks.0.norm1" in name or "blocks.0.attn" in name for name in encoder.state_dict())


@pytest.mark.parametrize("residual", ["pre_norm", "normed_stream"])
@pytest.mark.parametrize("number", [0, 1])
@torch.no_grad()
def test_a_block_has_the_residual_form_of_its_family(residual, number):
    block = Block(SMALL_FASTSAM3D.with_(residual=residual, attention_from=1), number)
    torch.nn.init.normal_(block.norm2.weight)
    x = expected = torch.randn(1, 4, 4, 4, 32)
    if number == 1:
        expected = expected + block.attn(block.norm1(expected))
    if residual == "normed_stream":
        expected = block.norm2(expected)
        expected = expected + block.mlp(expected)
    else:
        expected = expected + block.mlp(block.norm2(expected))
    torch.testing.assert_close(block(x), expected)


@torch.no_grad()
def test_column_attention_leaves_its_outputs_in_the_order_of_the_columns():
    # Projections that pass the values through, and queries of zero: every token gets the mean of its column along d,
    # and finds it at the place that its number has when columns come first.
    layer = Attention(SMALL_FASTSAM3D.with_(attention="column"), window=0)
    width, grid = 32, 4
    layer.qkv.weight.zero_()
    layer.qkv.bias.zero_()
    layer.qkv.weight[2 * width :] = torch.eye(width)
    layer.proj.weight.copy_(torch.eye(width))
    layer.proj.bias.zero_()
    x = torch.randn(1, grid, grid, grid, width)
    columns = x.mean(1).flatten(1, 2)  # (1, h w, width)
    expected = columns[:, :, None].expand(-1, -1, grid, -1).reshape(x.shape)  # flat order (h w, d)
    torch.testing.assert_close(layer(x), expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_relative_positions_are_added_to_the_unscaled_query():
    layer = Attention(NATIVE, window=0)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(1, 4, 4, 4, 48)
    q, k, v = layer.project(x.flatten(1, 3))
    place = torch.cartesian_prod(*[torch.arange(4)] * 3)
    logits = q @ k.transpose(-1, -2) * 24**-0.5
    for axis, table in enumerate(layer.tables):
        step = place[:, None, axis] - place[None, :, axis] + 3
        logits += torch.einsum("bnic,ijc->bnij", q, table[step])
    expected = layer.proj((logits.softmax(-1) @ v).transpose(1, 2).flatten(2)).view_as(x)
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", [SMALL_SAM_MED3D, SMALL_FASTSAM3D, NATIVE, NATIVE.with_(attention="sparse")])
@torch.no_grad()
def test_crops_of_a_batch_are_encoded_independently(config):
    encoder, images = an_encoder(config), an_image(config, 2)
    together = encoder.encode(images)
    for number in range(2):
        alone = encoder.encode(images[number : number + 1])
        torch.testing.assert_close(together.embedding[number : number + 1], alone.embedding, atol=2e-5, rtol=1e-4)
        for both, one in zip(together.skips, alone.skips, strict=True):
            torch.testing.assert_close(both[number : number + 1], one, atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_skips_have_the_resolutions_and_channels_of_the_upscaling():
    features = an_encoder(NATIVE).encode(an_image(NATIVE))
    assert [tuple(skip.shape) for skip in features.skips] == [(1, 8, *[32] * 3), (1, 8, *[16] * 3), (1, 16, *[8] * 3)]
    assert features.embedding.shape == (1, 64, 4, 4, 4)


@torch.no_grad()
def test_native_features_hold_the_crop_on_the_grid_of_the_logits():
    image = an_image(NATIVE)
    found = an_encoder(NATIVE).encode(image).image
    assert found is not None and found.shape == (1, 1, 32, 32, 32)
    torch.testing.assert_close(found[0, 0, 3, 4, 5], image[0, 0, 6:8, 8:10, 10:12].mean())


@torch.no_grad()
def test_the_stem_reaches_the_tokens():
    encoder, image = an_encoder(NATIVE), an_image(NATIVE)
    before = encoder(image)
    assert encoder.stem is not None
    encoder.stem.to_tokens.bias.add_(torch.randn(48))
    assert (encoder(image) - before).abs().max() > 1e-3


@pytest.mark.parametrize("config", [SMALL_SAM_MED3D, SMALL_FASTSAM3D])
@torch.no_grad()
def test_published_encoders_have_no_stem_and_end_in_a_norm_over_channels(config):
    features = an_encoder(config).encode(an_image(config))
    assert features.skips == () and features.image is None
    torch.testing.assert_close(features.embedding.mean(1), torch.zeros(1, 4, 4, 4), atol=1e-5, rtol=0)


@torch.no_grad()
def test_axes_of_the_crop_are_axes_of_the_embedding():
    # Without attention a token depends on its own patch alone: a changed voxel changes the token that holds it.
    config = SMALL_FASTSAM3D.with_(depth=1, attention_from=1)
    encoder, image = an_encoder(config), an_image(config)
    changed = image.clone()
    changed[0, 0, 9, 17, 31] += 5  # patches of 8: token (1, 2, 3)
    # Before the neck's convolution of 3^3, which spreads it.
    before, after = (encoder.neck[:2](_tokens(encoder, x)) for x in (image, changed))
    difference = (after - before).abs().sum(1)[0]
    assert difference.nonzero().tolist() == [[1, 2, 3]]


def _tokens(encoder: ImageEncoder, image: Tensor) -> Tensor:
    tokens = encoder.patch_embed(image) + encoder.pos_embed
    for block in encoder.blocks:
        tokens = block(tokens)
    return tokens.movedim(-1, 1)


def test_gradients_reach_every_parameter_of_the_native_encoder():
    encoder = an_encoder(NATIVE)
    features = encoder.encode(an_image(NATIVE))
    parts = (features.embedding, *features.skips)
    sum(functional.mse_loss(part, torch.ones_like(part)) for part in parts).backward()  # type: ignore[union-attr]
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name
