from __future__ import annotations

import dataclasses
import errno
import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from MemorizingSAM3DLib.engine.errors import CheckpointError, OutputError
from MemorizingSAM3DLib.engine.models import checkpoints, download
from MemorizingSAM3DLib.engine.models.checkpoints import convert_published, inspect, load, load_default, save_native
from MemorizingSAM3DLib.engine.models.registry import ModelEntry, Registry, describe_file, known_models
from MemorizingSAM3DLib.engine.networks.sam3d import NativeSAM3D, build_network
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE, SMALL_SAM_MED3D, small_state

TRAINING = {"steps": 12, "data": ["synthetic"], "dice": 0.87, "note": "µ ≥ 0"}


@pytest.fixture
def a_network():
    torch.manual_seed(3)
    return build_network(SMALL_NATIVE).eval()


@pytest.fixture
def a_native_file(tmp_path, a_network):
    save_native(a_network, tmp_path / "native.safetensors", TRAINING, "float32")
    return tmp_path / "native.safetensors"


@pytest.fixture
def a_published_file(tmp_path):
    torch.save({"model_state_dict": small_state(SMALL_FASTSAM3D)}, tmp_path / "FastSAM3D.pth")
    return tmp_path / "FastSAM3D.pth"


@pytest.fixture
def a_registered_model(tmp_path, monkeypatch, a_published_file):
    """A registry whose one model lies in a cache folder already; returns (entry, cache folder)."""
    cache = tmp_path / "cache"
    cache.mkdir()
    a_published_file.rename(cache / "FastSAM3D.pth")
    facts = describe_file(cache / "FastSAM3D.pth")
    entry = ModelEntry(
        "fastsam3d", "FastSAM3D", "fastsam3d", "Apache-2.0", "https://x", "FastSAM3D.pth", *facts, "-", "-"
    )
    for module in (checkpoints, download):
        monkeypatch.setattr(module, "known_models", lambda: Registry((entry,)))
    return entry, cache


@torch.inference_mode()
def logits_of(network: NativeSAM3D) -> torch.Tensor:
    image = torch.linspace(-1, 1, 32**3).reshape(1, 1, 32, 32, 32)
    return network.decode(network.encode(image), torch.tensor([[[9.0, 20.0, 3.0]]]), torch.tensor([[1]]))


def rewritten(path, **changes):
    """Writes a checkpoint again with some metadata changed (None: left out)."""
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), **changes}
    save_file(load_file(path), path, {key: value for key, value in metadata.items() if value is not None})


def test_a_native_checkpoint_comes_back_with_everything_it_was_saved_with(a_network, a_native_file):
    found = load(a_native_file)
    assert found.config == SMALL_NATIVE
    assert found.training == TRAINING
    assert found.sha256 == describe_file(a_native_file).sha256
    assert found.entry is None
    assert not found.network.training
    assert torch.equal(logits_of(found.network), logits_of(a_network))
    assert all(parameter.requires_grad for parameter in found.network.parameters())


@pytest.mark.parametrize(("precision", "tolerance"), [("float16", 0.01), ("int8", 0.1)])
def test_a_smaller_precision_changes_the_logits_a_little(tmp_path, a_network, a_native_file, precision, tolerance):
    path = tmp_path / f"{precision}.safetensors"
    save_native(a_network, path, {}, precision)
    assert path.stat().st_size < 0.62 * a_native_file.stat().st_size
    exact, rounded = logits_of(a_network), logits_of(load(path).network)
    assert 0 < (exact - rounded).abs().max() < tolerance * exact.abs().max()


def test_transposed_convolutions_have_one_scale_an_output_channel(tmp_path):
    network = build_network(SMALL_NATIVE.with_(upscale_channels=(16, 16, 16)))
    save_native(network, tmp_path / "n.safetensors", {}, "int8")
    scale = load_file(tmp_path / "n.safetensors")["mask_decoder.upscaling.0.up.weight.scale"]
    assert scale.shape == (1, 16, 1, 1, 1)


def test_a_failing_save_leaves_the_previous_checkpoint(a_network, a_native_file, monkeypatch):
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("MemorizingSAM3DLib.engine.models.weights_file.os.replace", full)
    with pytest.raises(OutputError, match="No space left"):
        save_native(a_network, a_native_file, {})
    assert load(a_native_file).training == TRAINING


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": None}, "carries no configuration.*checkpoint convert"),
        ({"format_version": "99"}, r"format version 99.*Update"),
        ({"format_version": None}, "format version none"),
        ({"config": "{"}, "describes itself wrongly"),
        ({"config": "[" * 100_000}, "describes itself wrongly"),
        ({"config": "[]"}, "describes itself wrongly"),
        ({"config": None}, "configuration is not one of this version"),
        ({"training": "3"}, "describes itself wrongly"),
        ({"kind": "poem"}, "describes itself wrongly"),
        ({"family": "fastsam3d"}, "describes itself wrongly"),
        ({"config": json.dumps({"family": "native", "colour": 1})}, "colour"),
        ({"config": json.dumps(SMALL_NATIVE.with_(width=10**9).to_dict())}, "width = 1000000000"),
        ({"config": json.dumps(SMALL_NATIVE.with_(depth=3).to_dict())}, r"do not fit its network: \d+ missing"),
        ({"config": json.dumps(SMALL_NATIVE.with_(width=4096).to_dict())}, "of another shape"),
        ({"config": json.dumps(SMALL_NATIVE.with_(upscale_channels=("a", "b")).to_dict())}, "upscale_channels = "),
        ({"config": json.dumps(SMALL_NATIVE.with_(stem_channels=(8,)).to_dict())}, "three stem steps or none"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(a_native_file, changes, message):
    rewritten(a_native_file, **changes)
    with pytest.raises(CheckpointError, match=message):
        load(a_native_file)


def test_a_giant_network_is_refused_before_it_is_allocated(a_native_file):
    giant = SMALL_NATIVE.with_(width=4096, depth=64, decoder_mlp=16384, decoder_depth=16)  # 50 GB
    rewritten(a_native_file, config=json.dumps(giant.to_dict()))
    with pytest.raises(CheckpointError, match="do not fit its network"):
        load(a_native_file)


def test_a_missing_and_a_left_over_tensor_are_refused(a_native_file):
    with safe_open(a_native_file, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(a_native_file)
    removed = tensors.pop("image_encoder.pos_embed")
    save_file(tensors, a_native_file, metadata)
    with pytest.raises(CheckpointError, match=r"1 missing \(image_encoder\.pos_embed\)"):
        load(a_native_file)
    save_file(tensors | {"image_encoder.pos_embed": removed, "more": removed.clone()}, a_native_file, metadata)
    with pytest.raises(CheckpointError, match=r"1 unknown \(more\)"):
        load(a_native_file)


def test_the_wrong_family_and_the_wrong_hash_are_refused(a_native_file):
    with pytest.raises(CheckpointError, match="family native, not sam_med3d"):
        load(a_native_file, family="sam_med3d")
    with pytest.raises(CheckpointError, match="SHA-256 .* is wrong"):
        load(a_native_file, sha256="0" * 64)
    assert load(a_native_file, family="native", sha256=describe_file(a_native_file).sha256.upper())


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"just a text", "not a safetensors file"), (None, "truncated")]
)
def test_files_that_are_no_checkpoints_are_refused(a_native_file, content, message):
    a_native_file.write_bytes(a_native_file.read_bytes()[:-100] if content is None else content)
    with pytest.raises(CheckpointError, match=message):
        load(a_native_file)


def test_a_source_that_is_nowhere_names_the_known_models(tmp_path):
    with pytest.raises(CheckpointError, match=r"There is no checkpoint .*native-v4, sam-med3d-turbo"):
        load("nothing")
    with pytest.raises(CheckpointError, match="SAM-Med3D turbo is not on this computer yet.*checkpoint download"):
        load("sam-med3d-turbo", cache=tmp_path)


@pytest.mark.parametrize("config", [SMALL_SAM_MED3D, SMALL_FASTSAM3D], ids=lambda config: config.family)
def test_a_published_file_is_converted_once_and_loaded_with_its_own_numbers(tmp_path, monkeypatch, config):
    state = small_state(config)
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "model.pth")
    found = load(tmp_path / "model.pth", cache=tmp_path / "cache")
    assert found.config == config
    assert found.sha256 == describe_file(tmp_path / "model.pth").sha256
    loaded = found.network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())
    monkeypatch.setattr(checkpoints, "convert_published", lambda *_arguments: pytest.fail("converted twice"))
    load(tmp_path / "model.pth", cache=tmp_path / "cache")


def test_a_converted_file_is_a_checkpoint_of_its_own(tmp_path, a_published_file):
    target = tmp_path / "new folder" / "fastsam3d.safetensors"
    convert_published(a_published_file, target)
    assert load(target).config == SMALL_FASTSAM3D
    origin = inspect(target)["origin"]
    assert origin == {"file": "FastSAM3D.pth", "sha256": describe_file(a_published_file).sha256}


def test_a_published_file_with_a_tensor_too_many_is_not_converted(tmp_path):
    state = small_state(SMALL_FASTSAM3D)
    torch.save(state | {"head.weight": torch.zeros(3)}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"1 unknown \(head\.weight\)"):
        convert_published(tmp_path / "model.pth", tmp_path / "model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()


def test_an_encoder_alone_converts_and_loads_as_an_encoder_but_does_not_segment(tmp_path):
    state = {
        name.removeprefix("image_encoder."): tensor
        for name, tensor in small_state(SMALL_FASTSAM3D).items()
        if name.startswith("image_encoder.")
    }
    torch.save(state, tmp_path / "student.pth")
    convert_published(tmp_path / "student.pth", tmp_path / "student.safetensors")
    assert inspect(tmp_path / "student.safetensors")["kind"] == "encoder"
    with pytest.raises(CheckpointError, match="an image encoder only.*cannot segment"):
        load(tmp_path / "student.safetensors")


def test_a_registered_model_loads_by_name_and_by_path_and_is_known_as_such(a_registered_model):
    entry, cache = a_registered_model
    assert load("fastsam3d", cache=cache).entry == entry
    assert load(cache / "FastSAM3D.pth", cache=cache).entry == entry


def test_the_default_is_the_first_shipped_model(a_native_file, tmp_path, monkeypatch):
    facts = describe_file(a_native_file)
    shipped = ModelEntry("mine", "Mine", "native", "Apache-2.0", None, a_native_file.name, *facts, "-", "-")
    fetched = dataclasses.replace(shipped, name="other", url="https://x")
    for module in (checkpoints, download):
        monkeypatch.setattr(module, "known_models", lambda: Registry((fetched, shipped)))
    monkeypatch.setattr(download, "resource_path", lambda *parts: tmp_path / parts[-1])
    assert load_default().entry == shipped
    a_native_file.write_bytes(a_native_file.read_bytes() + b" ")
    with pytest.raises(CheckpointError, match="SHA-256 .* is wrong.*install it again"):
        load_default()


def test_a_registered_model_with_a_wrong_hash_is_refused_by_name_and_by_path(a_registered_model, monkeypatch):
    entry, cache = a_registered_model
    changed = dataclasses.replace(entry, sha256="0" * 64)
    monkeypatch.setattr(checkpoints, "known_models", lambda: Registry((changed,)))
    for source in ("fastsam3d", cache / "FastSAM3D.pth"):
        with pytest.raises(CheckpointError, match=r"SHA-256 .* is wrong.*checkpoint download fastsam3d"):
            load(source, cache=cache)


def test_what_was_converted_from_a_registered_model_keeps_its_name_and_licence(a_registered_model, tmp_path):
    entry, cache = a_registered_model
    convert_published(cache / "FastSAM3D.pth", tmp_path / "mine.safetensors")
    found = inspect(tmp_path / "mine.safetensors")
    assert (found["name"], found["licence"]) == (entry.name, entry.licence)
    assert inspect("fastsam3d", cache)["name"] == entry.name


def test_inspecting_tells_family_dimensions_and_hash(a_native_file, a_network, a_published_file):
    native = inspect(a_native_file)
    assert native["parameters"] == sum(tensor.numel() for tensor in a_network.state_dict().values())
    assert (native["family"], native["kind"], native["precision"]) == ("native", "segmentation", "float32")
    assert native["config"]["depth"] == 2
    assert native["training"] == TRAINING
    assert native["sha256"] == describe_file(a_native_file).sha256
    assert (native["name"], native["licence"]) == (None, None)
    published = inspect(a_published_file)
    assert (published["family"], published["config"]["heads"]) == ("fastsam3d", SMALL_FASTSAM3D.heads)
    assert published["parameters"] == sum(tensor.numel() for tensor in small_state(SMALL_FASTSAM3D).values())
    json.dumps([native, published])


def test_shipped_weights_are_read_from_the_installation_when_they_are_there():
    shipped = [entry for entry in known_models() if entry.shipped]
    assert shipped
    for entry in shipped:
        if entry.sha256 is not None:
            assert load(entry.name).config.family == "native"
