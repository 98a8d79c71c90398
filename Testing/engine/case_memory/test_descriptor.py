from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from MemorizingSAM3DLib.engine.case_memory import descriptor as module
from MemorizingSAM3DLib.engine.case_memory.descriptor import (
    DESCRIPTOR_SIZE,
    DIRECTIONS,
    Calibration,
    CropFacts,
    Projection,
    calibration_for,
    descriptor_size,
    finer_grid,
    multi_scale_descriptor,
    projected,
    unit,
)
from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.geometry import CropGrid
from MemorizingSAM3DLib.engine.models.weights_file import encoder_fingerprint
from MemorizingSAM3DLib.engine.networks.image_encoder import ImageFeatures
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.phantoms import ball, ct_of
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_NATIVE
from Testing.engine.small_retrievals import a_predictor


def a_network(config=SMALL_NATIVE):
    torch.manual_seed(5)
    return build_network(config).eval().requires_grad_(False)


def looked(network, image: torch.Tensor):
    features = network.encode(image)
    return multi_scale_descriptor(features, features)


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


def test_angles_survive_the_projection():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20000))
    for share in (0.0, 0.5, 0.9):
        c = share * a + np.sqrt(1 - share**2) * b
        assert unit(projected(a)) @ unit(projected(c)) == pytest.approx(share, abs=0.12)


def test_the_projection_is_the_same_for_ever():
    # Memories on users' disks were written with it.
    values = projected(np.arange(1, 2001))
    assert values.shape == (DESCRIPTOR_SIZE,) and values.dtype == np.float32
    assert values[:6].tolist() == [-698.0, 0.0, 1055.0, 0.0, 0.0, 390.0]
    assert float(np.abs(values).sum()) == 1211484.0


def test_on_a_device_it_gives_the_same():
    features = torch.randn(7, 11, 13, generator=torch.Generator().manual_seed(1))
    projection = Projection(features.numel(), torch.device("cpu"))
    np.testing.assert_allclose(projection(features), projected(features.numpy()), atol=1e-5)
    np.testing.assert_allclose(projection(features.half()), projected(features.half().numpy()), atol=1e-5)


def test_a_vector_of_length_zero_stays():
    assert not unit(np.zeros(5)).any()
    assert np.linalg.norm(unit(np.full(5, 1e-3))) == pytest.approx(1)


GRID = CropGrid((1.0, 2.0, 3.0), 3.0, 64)


def test_the_close_look_is_about_the_same_place_as_far_as_the_network_knows_such_voxels():
    assert finer_grid(GRID, (0.5, 6.0)) == CropGrid((1.0, 2.0, 3.0), 1.5, 64)
    assert finer_grid(GRID, (2.0, 6.0)).spacing == 2.0
    assert finer_grid(CropGrid((0.0, 0.0, 0.0), 1.5, 64), (1.5, 1.5)).spacing == 1.5


def test_both_looks_are_kept_whole():
    wide, close = (ImageFeatures(torch.full((1, 3, 2, 2, 2), v), (torch.full((1, 4, 8, 8, 8), v),)) for v in (1.0, 2.0))
    both = multi_scale_descriptor(wide, close)
    assert both.embedding.shape == (1, 6, 2, 2, 2) and both.embedding[0, :, 0, 0, 0].tolist() == [1, 1, 1, 2, 2, 2]
    assert [float(skip.mean()) for skip in both.skips] == [1.0, 2.0]


def test_a_place_that_was_looked_at_is_not_encoded_again_unless_nothing_is_kept(tmp_path):
    predictor = a_predictor(tmp_path)
    predictor.set_volume(ct_of(ball(12), (44, 44, 44), 2.0)[0])
    kept = predictor.multi_scale_features(GRID)
    count = predictor.encodes
    assert torch.equal(predictor.multi_scale_features(GRID).embedding, kept.embedding)
    assert predictor.encodes == count
    assert torch.equal(predictor.multi_scale_features(GRID, keep=False).embedding, kept.embedding)
    assert predictor.encodes > count
