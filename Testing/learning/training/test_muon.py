from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from MemorizingSAM3DLib.learning.training.muon import Muon, orthogonalised


def a_matrix(values: list[float], rows: int, columns: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A matrix of these singular values, and its singular vectors on either side."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.linalg.qr(torch.randn(n, len(values), generator=generator))[0] for n in (rows, columns))
    return left @ torch.diag(torch.tensor(values)) @ right.T, left, right


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.1, 1.0), min_size=1, max_size=12), st.integers(0, 20), st.integers(0, 20),
       st.sampled_from([1e-4, 1.0, 1e3]), st.integers(0, 99))  # fmt: skip
def test_singular_values_become_about_one_and_directions_stay(values, more_rows, more_columns, scale, seed):
    count = len(values)
    matrix, left, right = a_matrix(values, count + more_rows, count + more_columns, seed)
    found = orthogonalised(scale * matrix)
    assert found.shape == matrix.shape
    kept = left.T @ found @ right
    assert 0.6 < kept.diag().min() and kept.diag().max() < 1.3
    torch.testing.assert_close(kept, torch.diag(kept.diag()), atol=5e-3, rtol=0)
    torch.testing.assert_close(left @ kept @ right.T, found, atol=5e-3, rtol=0)  # there is nothing else in it


def test_nothing_orthogonalised_is_nothing():
    assert torch.equal(orthogonalised(torch.zeros(4, 6)), torch.zeros(4, 6))


def a_step(shape: tuple[int, ...], memory_format=torch.contiguous_format, **options) -> tuple[Tensor, Tensor]:
    """A parameter before and after one step on a gradient of normal numbers."""
    generator = torch.Generator().manual_seed(2)
    parameter = nn.Parameter(torch.randn(shape, generator=generator).to(memory_format=memory_format))
    before = parameter.detach().clone()
    parameter.grad = torch.randn(shape, generator=generator).to(memory_format=memory_format)
    Muon([parameter], **{"lr": 0.1, **options}).step()
    return before, parameter.detach()


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 3, 3, 3, 3)])
def test_an_update_measures_what_adamws_does(shape):
    before, after = a_step(shape)
    assert (after - before).square().mean().sqrt() == pytest.approx(0.1 * 0.2, rel=0.25)


def test_a_kernel_is_updated_as_the_matrix_of_its_rows_however_it_lies_in_memory():
    before, after = a_step((16, 3, 3, 3, 3))
    flat_before, flat_after = a_step((16, 81))
    torch.testing.assert_close(before.flatten(1), flat_before)
    torch.testing.assert_close(after.flatten(1), flat_after)
    torch.testing.assert_close(a_step((16, 3, 3, 3, 3), torch.channels_last_3d)[1], after)


def test_weights_decay_by_the_rate_where_there_is_no_gradient():
    parameter = nn.Parameter(torch.ones(3, 5))
    parameter.grad = torch.zeros(3, 5)
    Muon([parameter], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(parameter.detach(), torch.full((3, 5), 0.95))


def test_a_parameter_without_a_gradient_stays():
    parameter = nn.Parameter(torch.ones(3, 5))
    Muon([parameter], lr=0.1, weight_decay=0.5).step()
    assert torch.equal(parameter.detach(), torch.ones(3, 5))


def trained(optimizer: Muon, layer: nn.Linear, steps: range) -> Tensor:
    for number in steps:
        x = torch.randn(20, 6, generator=torch.Generator().manual_seed(number))
        loss = (layer(x) - x[:, :4]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.detach()


def a_layer() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(6, 4, bias=False)


def test_it_lowers_a_loss():
    layer = a_layer()
    first = trained(Muon(layer.parameters(), lr=0.05), copy.deepcopy(layer), range(1))
    assert trained(Muon(layer.parameters(), lr=0.05), layer, range(60)) < 0.2 * first


def test_a_state_that_is_resumed_gives_the_same_weights():
    whole = a_layer()
    trained(Muon(whole.parameters(), lr=0.05, weight_decay=0.01), whole, range(8))
    part = a_layer()
    optimizer = Muon(part.parameters(), lr=0.05, weight_decay=0.01)
    trained(optimizer, part, range(5))
    other = a_layer()
    other.load_state_dict(part.state_dict())
    resumed = Muon(other.parameters())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    trained(resumed, other, range(5, 8))
    assert torch.equal(other.weight, whole.weight)
    assert not torch.equal(part.weight, whole.weight)
