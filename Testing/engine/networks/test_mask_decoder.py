from __future__ import annotations

import pytest
import torch

from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures
from MemorizingSAM3DLib.engine.networks.mask_decoder import (
    MaskDecoder,
    NativeMaskDecoder,
    ProjectedAttention,
    TwoWayBlock,
    TwoWayTransformer,
    UpscaleBlock,
)
from MemorizingSAM3DLib.engine.networks.prompt_encoder import PromptFeatures
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE

NATIVE = SMALL_NATIVE.with_(image_size=64, decoder_depth=2)


def published_inputs(batch: int = 1, tokens: int = 3):
    generator = torch.Generator().manual_seed(1)
    embedding, encoding = torch.randn(2, 1, 48, 4, 4, 4, generator=generator)
    sparse = torch.randn(batch, tokens, 48, generator=generator)
    return embedding, encoding, sparse, torch.randn(batch, 48, 4, 4, 4, generator=generator)


def native_inputs(valid: list[bool], batch: int = 1):
    generator = torch.Generator().manual_seed(1)
    skips = tuple(torch.randn(batch, c, *[n] * 3, generator=generator) for c, n in ((8, 32), (8, 16), (16, 8)))
    maps = tuple(torch.randn(batch, c, *[n] * 3, generator=generator) for c, n in ((8, 32), (8, 16), (16, 8)))
    embedding, dense = torch.randn(2, batch, 64, 4, 4, 4, generator=generator)
    encoding = torch.randn(1, 64, 4, 4, 4, generator=generator)
    sparse = torch.randn(batch, len(valid), 64, generator=generator)
    prompts = PromptFeatures(sparse, torch.tensor([valid]).expand(batch, -1), dense, maps)
    return ImageFeatures(embedding, skips), encoding, prompts


@pytest.fixture
def a_published_decoder():
    torch.manual_seed(0)
    return MaskDecoder(SMALL_FASTSAM3D).eval()


@pytest.fixture
def a_native_decoder():
    torch.manual_seed(0)
    return NativeMaskDecoder(NATIVE).eval()


@torch.no_grad()
def test_projected_attention_attends_by_heads_at_a_smaller_width():
    layer = ProjectedAttention(16, heads=2, downsample=2)
    q, k, v = torch.randn(1, 3, 16), torch.randn(1, 7, 16), torch.randn(1, 7, 16)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        query, key, value = layer.q_proj(q)[..., part], layer.k_proj(k)[..., part], layer.v_proj(v)[..., part]
        heads.append((query @ key.transpose(1, 2) / 2).softmax(-1) @ value)
    torch.testing.assert_close(layer(q, k, v), layer.out_proj(torch.cat(heads, -1)), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_only_the_first_block_replaces_its_tokens_without_positions():
    tokens, image, tokens_pe, image_pe = (torch.randn(1, n, 48) for n in (3, 8, 3, 8))
    block = TwoWayBlock(SMALL_FASTSAM3D, first=True)
    alike = TwoWayBlock(SMALL_FASTSAM3D, first=False)
    alike.load_state_dict(block.state_dict())
    seen = []
    for layer in (block, alike):
        layer.self_attn.register_forward_hook(lambda _layer, given, output: seen.append((given[0], output)))
        layer.norm1.register_forward_hook(lambda _layer, given, output: seen.append((given[0], output)))
        layer(tokens, image, tokens_pe, image_pe)
    torch.testing.assert_close(seen[0][0], tokens)
    torch.testing.assert_close(seen[1][0], seen[0][1])
    torch.testing.assert_close(seen[2][0], tokens + tokens_pe)
    torch.testing.assert_close(seen[3][0], tokens + seen[2][1])


@torch.no_grad()
def test_the_transformer_keeps_the_places_of_the_image():
    transformer = TwoWayTransformer(SMALL_FASTSAM3D.with_(decoder_depth=1))
    embedding, encoding, sparse, _ = published_inputs()
    _, plain = transformer(embedding, encoding, sparse)
    _, turned = transformer(embedding.transpose(2, 4), encoding.transpose(2, 4), sparse)
    torch.testing.assert_close(turned.transpose(2, 4), plain, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_published_masks_and_qualities(a_published_decoder):
    inputs = published_inputs()
    mask, quality = a_published_decoder(*inputs)
    masks, qualities = a_published_decoder(*inputs, multimask_output=True)
    assert (mask.shape, quality.shape) == ((1, 1, 16, 16, 16), (1, 1))
    assert (masks.shape, qualities.shape) == ((1, 3, 16, 16, 16), (1, 3))
    assert all((mask - other).abs().max() > 1e-3 for other in masks.split(1, 1))


@torch.no_grad()
def test_prompts_of_a_batch_are_decoded_independently_on_one_crop(a_published_decoder):
    embedding, encoding, sparse, dense = published_inputs(batch=3)
    together, _ = a_published_decoder(embedding, encoding, sparse, dense)
    for i in range(3):
        alone, _ = a_published_decoder(embedding, encoding, sparse[i : i + 1], dense[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("with_skip", [True, False])
def test_upscaling_is_the_same_in_inference_as_in_training(layout, with_skip):
    torch.manual_seed(0)
    block = UpscaleBlock(12, 8, blocks=2)
    x, skip, prompt = torch.randn(2, 12, 4, 5, 6), torch.randn(2, 8, 8, 10, 12), torch.randn(2, 8, 8, 10, 12)
    x, skip, prompt = (part.to(memory_format=layout) for part in (x, skip, prompt))
    given = [part.clone() for part in (x, skip, prompt)]
    expected = block(x, skip if with_skip else None, prompt)
    with torch.no_grad():
        found = block(x, skip if with_skip else None, prompt)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for part, before in zip((x, skip, prompt), given, strict=True):
        assert torch.equal(part, before)


@torch.no_grad()
def test_no_padding_is_as_if_all_tokens_were_said_to_be_real(a_native_decoder):
    features, encoding, prompts = native_inputs([True, True])
    expected = a_native_decoder(features, encoding, prompts)
    torch.testing.assert_close(
        a_native_decoder(features, encoding, prompts._replace(valid=None)), expected, atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
def test_padded_native_tokens_change_nothing(a_native_decoder):
    features, encoding, prompts = native_inputs([True, True, False, False, False])
    short = prompts._replace(sparse=prompts.sparse[:, :2], valid=prompts.valid[:, :2])
    wild = prompts._replace(sparse=prompts.sparse.clone())
    wild.sparse[:, 2:] *= 1000
    expected = a_native_decoder(features, encoding, short)
    for padded in (prompts, wild):
        found = a_native_decoder(features, encoding, padded)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_crops_of_a_batch_may_have_different_numbers_of_native_clicks(a_native_decoder):
    features, encoding, prompts = native_inputs([True, True, True], batch=2)
    prompts = prompts._replace(valid=torch.tensor([[True, True, True], [True, False, False]]))
    together = a_native_decoder(features, encoding, prompts)
    for i, clicks in enumerate((3, 1)):
        one = slice(i, i + 1)
        alone = a_native_decoder(
            ImageFeatures(features.embedding[one], tuple(skip[one] for skip in features.skips)),
            encoding,
            PromptFeatures(
                prompts.sparse[one, :clicks],
                prompts.valid[one, :clicks],
                prompts.dense[one],
                tuple(part[one] for part in prompts.maps),
            ),
        )
        torch.testing.assert_close(together[one], alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_every_skip_and_every_prompt_map_reaches_the_logits(a_native_decoder):
    features, encoding, prompts = native_inputs([True])
    logits = a_native_decoder(features, encoding, prompts)
    assert logits.shape == (1, 1, 32, 32, 32)
    for level in range(3):
        skips, maps = list(features.skips), list(prompts.maps)
        skips[level], maps[level] = skips[level] * 2, maps[level] * 2
        for changed in (
            a_native_decoder(features._replace(skips=tuple(skips)), encoding, prompts),
            a_native_decoder(features, encoding, prompts._replace(maps=tuple(maps))),
        ):
            assert (changed - logits).abs().max() > 1e-4


@torch.no_grad()
def test_without_a_stem_tokens_and_prompts_alone_make_the_mask(a_native_decoder):
    features, encoding, prompts = native_inputs([True])
    silent = features._replace(skips=tuple(torch.zeros_like(skip) for skip in features.skips))
    torch.testing.assert_close(
        a_native_decoder(features._replace(skips=()), encoding, prompts), a_native_decoder(silent, encoding, prompts)
    )


def test_gradients_reach_every_parameter_of_the_native_decoder(a_native_decoder):
    a_native_decoder(*native_inputs([True, True])).square().mean().backward()
    for name, parameter in a_native_decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # A key's bias shifts all logits of a softmax alike: its gradient is rounding.
        assert parameter.grad.any() or name.endswith("k_proj.bias"), name
