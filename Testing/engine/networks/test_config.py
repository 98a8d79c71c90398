from __future__ import annotations

import json

import pytest
import torch

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.networks.config import (
    NetworkConfig,
    coarse_token_config,
    fastsam3d_config,
    full_grid_config,
    native_config,
    sam_med3d_config,
    shipped_config,
    spacing_range_of,
)
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_FULL_GRID, SMALL_NATIVE, SMALL_SAM_MED3D

ALL = (
    sam_med3d_config(),
    fastsam3d_config(),
    native_config(),
    native_config(attention="sparse"),
    coarse_token_config(),
    full_grid_config(),
    full_grid_config(attention="sparse"),
    SMALL_SAM_MED3D,
    SMALL_FASTSAM3D,
    SMALL_NATIVE,
    SMALL_FULL_GRID,
)


@pytest.mark.parametrize("config", ALL)
def test_a_configuration_survives_json(config):
    assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"family": "sam2"}, "not one of this version"),
        ({"image_size": 4096}, "image_size = 4096"),
        ({"image_size": 128.0}, "image_size = 128.0"),
        ({"depth": True}, "depth = True"),
        ({"width": 100, "heads": 6}, "width is no multiple of the heads"),
        ({"image_size": 120}, "crop is no multiple of the patch"),
        ({"mlp_ratio": 1e9}, "mlp_ratio"),
        ({"mlp_ratio": float("nan")}, "mlp_ratio"),
        ({"mlp_ratio": "4"}, "mlp_ratio"),
        ({"attention": "quick"}, "attention = 'quick', not one of dense, sparse, column"),
        ({"relative_position": None}, "relative_position"),
        ({"residual": "none"}, "residual"),
        ({"stem_channels": [16, 32, 10**6]}, "stem_channels"),
        ({"stem_channels": [16, 32]}, "three stem steps or none"),
        ({"stem_channels": 16}, "stem_channels = 16"),
        ({"upscale_channels": [64, 32, 0]}, "upscale_channels"),
        ({"upscale_channels": [64] * 20}, "upscale_channels"),
        ({"upscale_channels": [64, 32]}, "three upscalings"),
        ({"refine_blocks": []}, "three upscalings"),
        ({"refine_blocks": [4, 2, 1000]}, "refine_blocks"),
        ({"patch_size": 8}, "patches of 16"),
        ({"segments": []}, "segments"),
        ({"segments": [[64, 0]]}, "segments"),
        ({"segments": [[64]]}, "segments"),
        ({"segments": [[10**9, 1]]}, "segments"),
        ({"segments": [[1, 1]] * 99}, "segments"),
        ({"segments": 3}, "segments"),
        ({"attention": "sparse", "segments": [[64, 7]]}, "reaches every token"),
        ({"attention": "sparse", "relative_position": "published"}, "sparse attention"),
        ({"window": 1000}, "window = 1000"),
        ({"window": 4}, "window is smaller than the grid"),
        ({"window": 14}, "only published relative positions"),
        ({"global_blocks": [-1]}, "global_blocks"),
        ({"attention_from": -1}, "attention_from"),
        ({"embedding_channels": 250}, "embedding's channels"),
        ({"decoder_heads": 48}, "decoder's heads"),
        ({"click_history": 1}, "click_history = 1, not true or false"),
    ],
)
def test_a_configuration_out_of_range_is_refused_and_the_field_named(changes, message):
    with pytest.raises(CheckpointError, match=message):
        NetworkConfig.from_dict({**native_config().to_dict(), **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem_channels": [16]}, "three stem steps or none"),
        ({"upscale_channels": [64, 32, 16]}, "of 8 and two"),
        ({"refine_blocks": [1, 1, 1]}, "of 8 and two"),
        ({"patch_size": 16}, "patches of 16 and three upscalings"),
        ({"patch_size": 4}, "patches of 16 and three upscalings"),
        ({"token_blocks": 3}, "at most one a layer of the decoder"),
        ({"token_blocks": -1}, "token_blocks = -1"),
        ({"token_mlp_ratio": 99}, "token_mlp_ratio"),
        ({"width": 60, "heads": 15}, "at least 6 even channels"),
        ({"width": 63, "heads": 9}, "at least 6 even channels"),
        ({"relative_position": "published", "attention": "sparse"}, "decomposed or rotary"),
        ({"window": 14}, "only published relative positions"),
    ],
)
def test_a_configuration_with_logits_on_the_full_grid_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(CheckpointError, match=message):
        NetworkConfig.from_dict({**full_grid_config().to_dict(), **changes})


def test_token_blocks_go_with_patches_of_8():
    with pytest.raises(CheckpointError, match="token blocks go with patches of 8"):
        NetworkConfig.from_dict({**coarse_token_config().to_dict(), "token_blocks": 1})


def test_what_is_trained_when_nothing_is_named_gives_logits_for_every_voxel():
    assert shipped_config() == full_grid_config() and full_grid_config().full_grid
    assert (full_grid_config().grid, full_grid_config().output_size) == (8, 64)
    assert not coarse_token_config().full_grid
    assert (coarse_token_config().grid, coarse_token_config().output_size) == (4, 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem_channels": [16, 32, 64]}, "no stem"),
        ({"upscale_channels": [96, 48, 24]}, "upscales twice"),
        ({"embedding_channels": 256}, "multiple of 3"),
        ({"image_size": 512, "patch_size": 8}, "more than 32 tokens"),
    ],
)
def test_a_published_configuration_that_no_published_network_has_is_refused(changes, message):
    with pytest.raises(CheckpointError, match=message):
        NetworkConfig.from_dict({**fastsam3d_config().to_dict(), **changes})


@pytest.mark.parametrize(
    "config",
    (
        SMALL_SAM_MED3D,
        SMALL_FASTSAM3D,
        SMALL_NATIVE,
        SMALL_NATIVE.with_(image_size=64),
        SMALL_FULL_GRID,
        SMALL_FULL_GRID.with_(relative_position="decomposed"),
        SMALL_FULL_GRID.with_(attention="sparse", segments=((16, 1), (64, 2))),
    ),
)
@torch.inference_mode()
def test_what_a_configuration_says_of_its_sizes_is_what_its_network_has(config):
    network = build_network(config)
    features = network.encode(torch.zeros(1, 1, *[config.image_size] * 3))
    logits = network.decode(features, torch.zeros(1, 1, 3), torch.ones(1, 1, dtype=torch.long))
    assert features.embedding.shape == (1, config.embedding_channels, *[config.grid] * 3)
    assert logits.shape == (1, 1, *[config.output_size] * 3)


def test_only_the_global_blocks_of_the_teacher_have_no_window():
    assert [sam_med3d_config().window_of(block) for block in range(12)] == [14, 14, 0] * 4


@pytest.mark.parametrize("config", (native_config(), shipped_config()), ids=["version 4", "version 5"])
def test_half_precision_weights_of_the_native_network_take_less_than_a_shipped_file_may(config):
    with torch.device("meta"):
        parameters = sum(tensor.numel() for tensor in build_network(config).state_dict().values())
    assert parameters * 2 <= 32e6  # 16 MB when stored in 8 bits


def test_crops_of_every_size_show_up_to_the_same_extent_of_the_body():
    assert spacing_range_of("native", 128) == (0.5, 3.0)
    assert spacing_range_of("native", 64) == (0.5, 6.0)
    assert spacing_range_of("fastsam3d", 128) == (1.5, 1.5)
