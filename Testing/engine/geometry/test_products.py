from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from MemorizingSAM3DLib.engine.geometry.products import along_axes, product

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shapes", [((3, 4), (4, 5)), ((3, 4), (6, 4, 5)), ((6, 3, 4), (4, 5))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_is_numpys(shapes, dtype):
    a, b = (RNG.normal(size=shape).astype(dtype) for shape in shapes)
    result = product(a, b)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, a @ b, rtol=1e-5, atol=1e-6)


def test_transposed_and_cut_arrays_can_be_multiplied():
    a, b = RNG.normal(size=(9, 8))[::2, 1:5], RNG.normal(size=(5, 4)).T
    np.testing.assert_allclose(product(a, b), a @ b)


def test_lower_precision_elsewhere_does_not_reach_a_product():
    import torch

    a, b = RNG.normal(size=(2, 30, 30)).astype(np.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_allclose(product(a, b), a @ b, rtol=1e-4, atol=1e-5)


def test_the_geometry_is_imported_without_pytorch():
    code = "import sys, MemorizingSAM3DLib.engine.geometry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("signs", [False, True])
def test_an_array_is_multiplied_along_each_of_its_axes(signs):
    values = RNG.normal(size=(4, 5, 6)).astype(np.float32)
    weights = [RNG.normal(size=(n, size)).astype(np.float32) for n, size in ((7, 4), (3, 5), (8, 6))]
    expected = np.einsum("kji,ak,bj,ci->abc", values, *weights, optimize=True)
    found = along_axes(values.transpose(2, 1, 0).copy().transpose(2, 1, 0), weights, signs=signs)
    if signs:
        assert found.dtype == bool
        np.testing.assert_array_equal(found[np.abs(expected) > 1e-4], (expected > 0)[np.abs(expected) > 1e-4])
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
