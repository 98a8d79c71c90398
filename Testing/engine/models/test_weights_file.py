from __future__ import annotations

import errno
import json
import os
import stat
import struct
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from MemorizingSAM3DLib.engine.errors import CheckpointError, OutputError
from MemorizingSAM3DLib.engine.models import weights_file
from MemorizingSAM3DLib.engine.models.weights_file import PRECISIONS, WeightsFile, write_weights


def some_tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"conv.weight": (32, 8, 3, 3, 3), "up.weight": (64, 32, 2, 2, 2), "norm.bias": (32,), "pos": (1, 8, 640)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def shapes_of(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


@pytest.fixture
def a_file(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_weights(path, some_tensors(), {"key": "value"})
    return path


def test_float32_comes_back_bit_for_bit(a_file):
    file = WeightsFile(a_file)
    read = file.read(shapes_of(some_tensors()))
    assert file.metadata == {"key": "value"}
    assert all(torch.equal(read[name], tensor) for name, tensor in some_tensors().items())
    assert file.parameters == sum(tensor.numel() for tensor in some_tensors().values())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_keeps_small_tensors_exactly_and_is_smaller_than_the_last(tmp_path, precision):
    tensors = some_tensors()
    sizes = []
    for name in PRECISIONS[: PRECISIONS.index(precision) + 1]:
        write_weights(tmp_path / name, tensors, {}, name)
        sizes.append((tmp_path / name).stat().st_size)
    assert sorted(sizes, reverse=True) == sizes
    read = WeightsFile(tmp_path / precision).read(shapes_of(tensors))
    assert torch.equal(read["norm.bias"], tensors["norm.bias"])
    assert {tensor.dtype for tensor in read.values()} == {torch.float32}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0, 1]), st.floats(1e-6, 1e4))
def test_int8_rounds_to_half_a_step_of_its_output_channel(tmp_path_factory, seed, axis, size):
    weight = torch.randn(24, 24, 8, generator=torch.Generator().manual_seed(seed)) * size
    weight.select(axis, 3).zero_()
    path = tmp_path_factory.mktemp("int8") / "w.safetensors"
    write_weights(path, {"a.weight": weight}, {}, "int8", {"a.weight": axis})
    read = WeightsFile(path).read({"a.weight": weight.shape})["a.weight"]
    others = [other for other in range(3) if other != axis]
    step = weight.abs().amax(dim=others, keepdim=True) / 127
    assert ((read - weight).abs() <= step * 0.5001).all()
    assert (read.select(axis, 3) == 0).all()


def test_fewer_levels_round_coarser_and_use_integers_up_to_them_alone(tmp_path):
    torch.manual_seed(2)
    tensors = {name: torch.randn(64, 128) for name in ("a.weight", "b.weight", "b.c.weight")}
    write_weights(tmp_path / "w.safetensors", tensors, {}, "int8", levels={"b": 15, "b.c": 3})
    read = WeightsFile(tmp_path / "w.safetensors").read(shapes_of(tensors))
    errors = [float((read[name] - tensors[name]).square().mean().sqrt()) for name in tensors]
    assert errors[0] < 0.01 < errors[1] < 0.09 < errors[2] < 0.4
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        assert [int(file.get_tensor(name).abs().max()) for name in tensors] == [127, 15, 3]


def test_with_few_levels_the_largest_weights_are_cut_off_where_that_costs_less(tmp_path):
    weight = torch.full((1, 8192), 1.0) * torch.linspace(-1, 1, 8192).sign() * 0.1
    weight[0, 0] = 0.21
    write_weights(tmp_path / "w.safetensors", {"a.weight": weight}, {}, "int8", levels={"": 1})
    read = WeightsFile(tmp_path / "w.safetensors").read(shapes_of({"a.weight": weight}))["a.weight"]
    assert (read[0, 1:] - weight[0, 1:]).abs().max() < 0.01


def test_half_precision_refuses_what_it_cannot_hold(tmp_path):
    with pytest.raises(CheckpointError, match="beyond half precision"):
        write_weights(tmp_path / "w", {"a.weight": torch.full((64, 64), 1e6)}, {}, "float16")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_neither_written_nor_read(tmp_path, value):
    path = tmp_path / "w.safetensors"
    with pytest.raises(CheckpointError, match=r"not finite, in a\.weight"):
        write_weights(path, {"a.weight": torch.full((3,), value)}, {})
    save_file({"a.weight": torch.full((3,), value)}, path)
    with pytest.raises(CheckpointError, match=r"not finite, in a\.weight"):
        WeightsFile(path).read({"a.weight": torch.Size([3])})


def test_views_and_shared_tensors_are_written_whole(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    write_weights(tmp_path / "w", {"a": base.T, "b": base, "c": base[1]}, {})
    read = WeightsFile(tmp_path / "w").read({"a": torch.Size([4, 3]), "b": torch.Size([3, 4]), "c": torch.Size([4])})
    assert torch.equal(read["a"], base.T) and torch.equal(read["b"], base) and torch.equal(read["c"], base[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda shapes: shapes.pop("norm.bias"), r"1 unknown \(norm\.bias\)"),
        (lambda shapes: shapes.update(extra=torch.Size([1])), r"1 missing \(extra\)"),
        (lambda shapes: shapes.update(pos=torch.Size([1, 8, 641])), r"pos is \(1, 8, 640\), not \(1, 8, 641\)"),
    ],
)
def test_reading_is_strict(a_file, change, message):
    shapes = shapes_of(some_tensors())
    change(shapes)
    with pytest.raises(CheckpointError, match=message):
        WeightsFile(a_file).read(shapes)


def test_an_int8_tensor_without_its_scale_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    for extra in ({}, {"a.scale": torch.ones(2, 1)}, {"a.scale": torch.ones(3, dtype=torch.float32)}):
        save_file({"a": torch.zeros(3, 4, dtype=torch.int8), **extra}, path)
        with pytest.raises(CheckpointError, match="in a way that is not ours"):
            WeightsFile(path).read({"a": torch.Size([3, 4])})


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float64])
def test_only_known_types_are_read(tmp_path, dtype):
    save_file({"a": torch.zeros(3, 4, dtype=dtype)}, tmp_path / "w")
    with pytest.raises(CheckpointError, match="in a way that is not ours"):
        WeightsFile(tmp_path / "w").read({"a": torch.Size([3, 4])})


def test_an_empty_file_is_named_as_such(tmp_path):
    (tmp_path / "w.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"w\.safetensors is empty"):
        WeightsFile(tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [b"x", b"a text file that is called .safetensors", b"PK\x03\x04" + bytes(100)])
def test_another_kind_of_file_is_named_as_such(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        WeightsFile(tmp_path / "w.safetensors")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_file_truncated_anywhere_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "w.safetensors"
    write_weights(path, {"a": torch.arange(10.0), "b": torch.ones(3, 3)}, {"key": "value"})
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(CheckpointError):
        WeightsFile(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 2**50]},
        {"dtype": "F32", "shape": [4], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]},
        {"dtype": "XXX", "shape": [4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [2**63, 2**63], "data_offsets": [0, 16]},
        "no entry",
    ],
)
def test_a_lying_header_is_refused_before_anything_is_allocated(tmp_path, entry):
    header = json.dumps({"a": entry}).encode()
    (tmp_path / "w").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        WeightsFile(tmp_path / "w")


def test_a_giant_header_is_not_even_read(tmp_path):
    (tmp_path / "w").write_bytes(struct.pack("<Q", 2**40) + b"{}")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        WeightsFile(tmp_path / "w")


def test_metadata_of_excessive_length_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "w", {"key": "x" * 2**20})
    with pytest.raises(CheckpointError, match="excessive length"):
        WeightsFile(tmp_path / "w")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.safetensors cannot be read \(No such file"):
        WeightsFile(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("failing", ["save_file", "fsync", "replace"])
def test_the_previous_file_survives_a_full_disk(a_file, monkeypatch, failing):
    before = a_file.read_bytes()

    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(weights_file if failing == "save_file" else weights_file.os, failing, full)
    with pytest.raises(OutputError, match=r"No space left.*what was there before is unchanged"):
        write_weights(a_file, {"a": torch.zeros(3)}, {})
    assert a_file.read_bytes() == before
    assert os.listdir(a_file.parent) == [a_file.name]


def test_a_folder_that_cannot_be_made_is_an_output_error(a_file):
    with pytest.raises(OutputError, match="cannot be written"):
        write_weights(a_file / "below" / "w.safetensors", {"a": torch.zeros(3)}, {})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_the_file_is_readable_by_others(a_file):
    assert stat.S_IMODE(a_file.stat().st_mode) == 0o644
