from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.fingerprint import encoder_fingerprint
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.engine.recall import calibration as module
from MemorizingSAM3DLib.engine.recall.calibration import (
    DIRECTIONS,
    Calibration,
    CropFacts,
    calibration_for,
    descriptor_size,
)
from MemorizingSAM3DLib.engine.recall.surroundings import both_looks
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE


def a_network(config=SMALL_NATIVE):
    torch.manual_seed(5)
    return build_network(config).eval().requires_grad_(False)


def looked(network, image: torch.Tensor):
    features = network.encode(image)
    return both_looks(features, features)


def an_image(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 1, 32, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def a_calibration():
    rng = np.random.default_rng(0)
    config, local = SMALL_NATIVE, 2 * sum(SMALL_NATIVE.upscale_channels)
    mean = rng.normal(size=(2 * config.embedding_channels, *(config.grid,) * 3)).astype(np.float16).astype(np.float32)
    return Calibration(mean, *rng.uniform(1, 2, (2, local)).astype(np.float32), 25.5, 0.625, "cd" * 32)


@pytest.mark.parametrize("config", [SMALL_NATIVE, SMALL_FASTSAM3D], ids=["native", "published"])
def test_a_descriptor_has_length_one_and_tells_crops_apart(config):
    network = a_network(config)
    calibration = calibration_for(network, encoder_fingerprint(network))
    first, again, other = (calibration.describe(looked(network, an_image(seed))) for seed in (0, 0, 1))
    assert first.shape == (descriptor_size(config),)
    assert first @ again == pytest.approx(1, abs=1e-5)
    assert first @ other < 0.99


def test_what_is_at_the_centre_counts():
    network = a_network()
    features = network.encode(an_image())
    near, far = ([level.clone() for level in features.skips] for _ in range(2))
    for moved, place in ((near, slice(7, 9)), (far, slice(0, 2))):
        moved[0][0, :, place, place, place] += 5
    whole, changed, same = (CropFacts.of(features._replace(skips=tuple(s))).local for s in (features.skips, near, far))
    assert not np.allclose(whole, changed) and np.array_equal(whole, same)


@pytest.fixture
def a_damping_one(a_calibration):
    rng = np.random.default_rng(1)
    columns, _ = np.linalg.qr(rng.normal(size=(descriptor_size(SMALL_NATIVE), DIRECTIONS)))
    directions = columns.astype(np.float16).astype(np.float32)
    return replace(a_calibration, directions=directions, damping=np.linspace(1, 0, DIRECTIONS, dtype=np.float32))


def test_a_direction_that_says_nothing_of_the_place_is_damped(a_calibration, a_damping_one):
    features = looked(a_network(), an_image())
    plain, damped = a_calibration.describe(features), a_damping_one.describe(features)
    before, after = plain @ a_damping_one.directions, damped @ a_damping_one.directions
    assert abs(after[0]) < 1e-3 < abs(before[0])  # taken away whole
    assert np.linalg.norm(damped) == pytest.approx(1, abs=1e-5)
    # The last is left alone; all of the rest is stretched alike, by the return to length 1.
    assert after[-1] / before[-1] == pytest.approx(1 / np.sqrt(1 - np.sum(before**2) + np.sum(
        (before * (1 - a_damping_one.damping)) ** 2)), rel=1e-2)  # fmt: skip


def test_a_calibration_survives_its_file(a_damping_one, tmp_path):
    a_calibration = a_damping_one
    a_calibration.save(tmp_path / "c.safetensors")
    loaded = Calibration.load(tmp_path / "c.safetensors", SMALL_NATIVE)
    for name in ("mean", "local_mean", "local_scale", "directions", "damping"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(a_calibration, name))
    assert (loaded.slope, loaded.middle, loaded.encoder) == (25.5, 0.625, "cd" * 32)


def test_files_that_are_none_are_refused(a_calibration, tmp_path):
    path = tmp_path / "c.safetensors"
    with pytest.raises(CheckpointError):
        Calibration.load(path, SMALL_NATIVE)
    save_file({"mean": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="no calibration"):
        Calibration.load(path, SMALL_NATIVE)
    a_calibration.save(path)
    tensors = load_file(path)
    with pytest.raises(CheckpointError):
        Calibration.load(path, SMALL_NATIVE.with_(embedding_channels=32))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError):
        Calibration.load(path, SMALL_NATIVE)
    facts = {"slope": "steep", "middle": 0, "encoder": ""}
    metadata = {"format": "memorizing-sam3d recall calibration", "facts": json.dumps(facts)}
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match="damaged"):
        Calibration.load(path, SMALL_NATIVE)


def test_the_shipped_one_is_taken_for_its_encoder_alone(a_calibration, tmp_path, monkeypatch):
    network = a_network()
    a_calibration.save(tmp_path / "shipped.safetensors")
    monkeypatch.setattr(module, "resource_path", lambda *_: tmp_path / "shipped.safetensors")
    assert calibration_for(network, "cd" * 32).slope == 25.5
    assert calibration_for(network, "ef" * 32).encoder == ""
    monkeypatch.setattr(module, "resource_path", lambda *_: (_ for _ in ()).throw(FileNotFoundError))
    assert calibration_for(network, "cd" * 32).encoder == ""


@pytest.mark.parametrize("cosine", [-1.0, 0.0, 0.625, 1.0])
@pytest.mark.parametrize("slope", [1.0, 5000.0])
def test_probabilities_are_probabilities_however_steep(a_calibration, slope, cosine):
    steep = Calibration(a_calibration.mean, a_calibration.local_mean, a_calibration.local_scale, slope, 0.625)
    assert 0 <= steep.probability(cosine) <= 1
    assert steep.probability(0.625) == 0.5
