from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from MemorizingSAM3DLib.engine.models.checkpoints import build_published
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig, fastsam3d_config, native_config, sam_med3d_config
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from MemorizingSAM3DLib.learning.data.batches import LoadedBatches
from MemorizingSAM3DLib.learning.data.samples import SampleStream
from MemorizingSAM3DLib.learning.processes import TrainingError
from MemorizingSAM3DLib.learning.training.distillation import (
    DistillationObjective,
    DistillationOptions,
    block_outputs,
    layer_distance,
    layers_at,
    logit_distance,
    student_config,
    student_of,
)
from MemorizingSAM3DLib.learning.training.objective import Batch
from MemorizingSAM3DLib.learning.training.trainer import Trainer, TrainingOptions
from Testing.engine.small_networks import SMALL_NATIVE, SMALL_SAM_MED3D
from Testing.learning.small_trainings import ALONE
from Testing.parity.fill import fill, inputs

PARITY = Path(__file__).parents[2] / "parity"
TEACHER = SMALL_NATIVE.with_(depth=4)


def a_teacher(config: NetworkConfig = TEACHER):
    """A network whose blocks do something: fresh ones hardly change what passes through them."""
    torch.manual_seed(5)
    network = build_network(config)
    with torch.no_grad():
        for name, parameter in network.image_encoder.blocks.named_parameters():
            if name.endswith("weight") and parameter.ndim == 2:
                parameter.copy_(torch.randn_like(parameter) * parameter.shape[1] ** -0.5)
    return network


def a_batch_for(config: NetworkConfig, count: int = 2) -> Batch:
    stream = SampleStream.for_network(config, [], 2, 1.0)
    samples = [stream[number] for number in range(count)]
    images, targets = (torch.stack([getattr(s, name) for s in samples]) for name in ("image", "target"))
    return Batch(images, targets, tuple(range(count)))


def test_k_grows_from_one_to_the_students_depth():
    counts = [layers_at(iteration, 600, 6) for iteration in range(1, 601)]
    assert [counts.count(k) for k in range(1, 7)] == [100] * 6
    assert counts == sorted(counts)
    assert layers_at(1, 6000, 6) == 1 and layers_at(6000, 6000, 6) == 6
    assert [layers_at(iteration, 3, 6) for iteration in (1, 2, 3)] == [2, 4, 6]


def test_block_2i_teaches_block_i():
    # Outputs that are their own number: S(i) = 2 i costs nothing, and any other alignment costs something.
    taught = [torch.full((1, 2, 2, 2, 4), float(number)) for number in range(1, 13)]
    learned = [torch.full((1, 2, 2, 2, 4), 2.0 * i) for i in range(1, 7)]
    for k in range(1, 7):
        assert layer_distance(taught, learned, k) == 0
    shifted = [torch.full((1, 2, 2, 2, 4), 2.0 * i - 1) for i in range(1, 7)]
    assert float(layer_distance(taught, shifted, 6)) == pytest.approx(2.0)  # Euclidean: sqrt(4) a token


def test_only_the_first_k_blocks_are_compared():
    taught = [torch.zeros(1, 2, 2, 2, 4) for _ in range(12)]
    learned = [torch.full((1, 2, 2, 2, 4), float(i)) for i in range(6)]
    assert [float(layer_distance(taught, learned, k)) for k in (1, 2, 6)] == pytest.approx([0, 1, 5])


def test_the_logits_of_a_teacher_that_is_sure_are_clipped():
    taught = torch.tensor([-100.0, 0.0, 100.0])
    assert logit_distance(taught, torch.tensor([-8.0, 0.0, 8.0])) == 0
    assert logit_distance(taught, torch.tensor([-8.0, 0.0, -20.0])) > 100


def test_a_published_teacher_computes_in_its_own_residual_form():
    # The published numbers of every block, from weights that are made of tensor names.
    teacher = build_published("sam_med3d")
    fill(teacher)
    with torch.inference_mode():
        features, outputs = block_outputs(teacher.image_encoder, inputs()[0])
    with np.load(PARITY / "expected_sam_med3d.npz") as expected:
        for number, output in enumerate(outputs):
            found = output[0, ::2, ::2, ::2, ::48].numpy()
            np.testing.assert_allclose(found, expected[f"block{number}_slice"], atol=1e-4)
        np.testing.assert_allclose(features.embedding.numpy(), expected["embedding"], atol=1e-4)


def test_the_student_of_sam_med3d_is_fastsam3ds():
    assert student_config(sam_med3d_config()) == fastsam3d_config()


def test_the_student_of_a_deep_native_network_is_the_native_network():
    assert student_config(native_config(depth=12)) == native_config()


def test_a_teacher_of_odd_depth_has_no_student():
    with pytest.raises(TrainingError, match="3 blocks has no half"):
        student_config(SMALL_NATIVE.with_(depth=3))


@pytest.mark.parametrize("other", [TEACHER.with_(depth=6), TEACHER.with_(width=96), SMALL_SAM_MED3D])
def test_teachers_that_do_not_fit_are_refused(other):
    with pytest.raises(TrainingError, match="cannot teach this student"):
        DistillationObjective(build_network(other), student_of(a_teacher()), DistillationOptions(), 0)


@pytest.mark.parametrize("config", [TEACHER, SMALL_SAM_MED3D])
def test_a_student_begins_with_its_teachers_decoder(config):
    teacher = a_teacher(config)
    student, known = student_of(teacher), teacher.state_dict()
    own = 0
    for name, value in student.state_dict().items():
        if not name.startswith("image_encoder.blocks."):
            assert torch.equal(value, known[name]), name
        else:
            own += 1
    assert own > 20


def test_blocks_of_the_same_form_begin_as_the_ones_that_teach_them():
    teacher = a_teacher()
    student, known = student_of(teacher).state_dict(), teacher.state_dict()
    for i in range(2):
        name = "mlp.lin1.weight"
        assert torch.equal(
            student[f"image_encoder.blocks.{i}.{name}"], known[f"image_encoder.blocks.{2 * i + 1}.{name}"]
        )


@pytest.mark.parametrize("config", [TEACHER, SMALL_SAM_MED3D])
def test_both_stages_bring_the_student_nearer_to_its_teacher(tmp_path, config):
    teacher = a_teacher(config)
    stages = DistillationOptions(layer_steps=16, logit_steps=16, clicks=2)
    student = student_of(teacher)
    objective = DistillationObjective(teacher, student, stages, 0)
    source = LoadedBatches(SampleStream.for_network(config, [], 2, 1.0), 2, ALONE)
    options = TrainingOptions(steps=32, warm_up=2, learning_rate=2e-3, precision="float32")
    trainer, batch = Trainer(objective, source, tmp_path, options), a_batch_for(config)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    decoder = {name: value.clone() for name, value in student.mask_decoder.state_dict().items()}
    with torch.no_grad():
        start = float(objective._layers(batch, student.config.depth)[0])
    figures = [trainer.train_step(batch)[0] for _ in range(16)]
    with torch.no_grad():
        assert float(objective._layers(batch, student.config.depth)[0]) < 0.9 * start
    assert [f["layers"] for f in figures] == [layers_at(n, 16, student.config.depth) for n in range(1, 17)]
    assert all(torch.equal(value, decoder[name]) for name, value in student.mask_decoder.state_dict().items())

    later = [trainer.train_step(batch)[0] for _ in range(16)]
    assert all(f["layers"] == 0 for f in later)
    assert np.mean([f["distance"] for f in later[-4:]]) < np.mean([f["distance"] for f in later[:4]])
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_published_networks_hear_the_newest_click_alone(monkeypatch):
    teacher = a_teacher(SMALL_SAM_MED3D)
    objective = DistillationObjective(teacher, student_of(teacher), DistillationOptions(0, 4, clicks=3), 0)
    attended: dict[str, list[torch.Tensor]] = {"teacher": [], "student": []}
    for name, network in (("teacher", teacher), ("student", objective.network)):
        decode = network.decode
        monkeypatch.setattr(
            network, "decode", lambda *given, d=decode, n=name: attended[n].append(given[1]) or d(*given)
        )  # fmt: skip
    objective(a_batch_for(SMALL_SAM_MED3D), 0)
    assert [coords.shape[1] for coords in attended["student"]] == [1, 1, 1]
    assert all(torch.equal(a, b) for a, b in zip(*attended.values(), strict=True))
