from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from MemorizingSAM3DLib.engine.networks.layers import ConvBlock, FastConv3d


@pytest.mark.parametrize("inside", [8, 16])
def test_a_block_gives_the_same_bits_in_place_and_leaves_its_input_alone(inside):
    torch.manual_seed(0)
    block, x = ConvBlock(inside, 16), torch.randn(1, inside, 6, 6, 6)
    given = x.clone()
    with torch.no_grad():
        found = block(x)
        activated = functional.relu(block.norm(block.conv(x)))
    assert torch.equal(found, x + activated if inside == 16 else activated)
    assert torch.equal(x, given)


@torch.no_grad()
def test_a_block_may_be_given_another_precision_than_it_computes_in():
    torch.manual_seed(0)
    block, x = ConvBlock(8, 8), torch.randn(1, 8, 6, 6, 6)
    expected = block(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(block(x).float(), expected, atol=0.05, rtol=0.05)


@torch.no_grad()
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (2, 2), (3, 1), (3, 2)])
def test_a_fast_convolution_is_a_convolution(kernel, stride):
    torch.manual_seed(0)
    layer, x = FastConv3d(6, 10, kernel, stride=stride, padding=kernel // 2 * (kernel % 2)), torch.randn(2, 6, 8, 8, 8)
    expected = functional.conv3d(x.double(), layer.weight.double(), layer.bias.double(), stride, layer.padding)
    torch.testing.assert_close(layer(x).double(), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_input_channels_that_are_zero_can_be_left_out(precision):
    torch.manual_seed(0)
    block, x = ConvBlock(9, 16, stride=2), torch.randn(1, 9, 8, 8, 8)
    x[:, [1, 2, 6, 7]] = 0
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        some, whole = block(x[:, [0, 3, 4, 5, 8]], [0, 3, 4, 5, 8]), block(x)
    torch.testing.assert_close(some, whole, atol=0.05 if precision == torch.bfloat16 else 1e-5, rtol=1e-4)
