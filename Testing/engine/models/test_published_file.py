from __future__ import annotations

import argparse
import collections
import os
import pickle
import zipfile

import pytest
import torch

from MemorizingSAM3DLib.engine.errors import CheckpointError
from MemorizingSAM3DLib.engine.models.published_file import detect_config, read_published
from MemorizingSAM3DLib.engine.networks.config import NetworkConfig, fastsam3d_config, sam_med3d_config
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.small_networks import SMALL_FASTSAM3D, SMALL_SAM_MED3D, small_state


def shapes_of(config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build_network(config).state_dict().items()}


WRAPPINGS = {
    "bare": lambda state: state,
    "model_state_dict": lambda state: {"model_state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state},
    "module prefix": lambda state: {"model_state_dict": {f"module.{name}": t for name, t in state.items()}},
    "a whole training checkpoint": lambda state: {
        "epoch": 12,
        "model_state_dict": collections.OrderedDict(state),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4}]},
        "lr_scheduler": {"milestones": collections.Counter([120, 180])},
        "losses": [0.3, 0.2],
        "args": argparse.Namespace(task_name="student", device=torch.device("cuda:0")),
    },
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("config", [SMALL_SAM_MED3D, SMALL_FASTSAM3D], ids=lambda config: config.family)
def test_every_wrapping_gives_the_same_network(tmp_path, config, wrapping):
    state = small_state(config)
    torch.save(WRAPPINGS[wrapping](state), tmp_path / "model.pth")
    found = read_published(tmp_path / "model.pth")
    assert (found.config, found.kind) == (config, "segmentation")
    assert found.tensors.keys() == state.keys()
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in state.items())


def test_pytorchs_old_file_format_is_read_too(tmp_path):
    torch.save(small_state(SMALL_FASTSAM3D), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(tmp_path / "old.pth")
    assert read_published(tmp_path / "old.pth").config == SMALL_FASTSAM3D


@pytest.mark.parametrize("prefix", ["", "image_encoder.", "module."])
def test_an_encoder_alone_is_known_as_one(tmp_path, prefix):
    state = {
        prefix + name.removeprefix("image_encoder."): tensor
        for name, tensor in small_state(SMALL_FASTSAM3D).items()
        if name.startswith("image_encoder.")
    }
    torch.save(state, tmp_path / "6layers6heads_student")
    found = read_published(tmp_path / "6layers6heads_student")
    assert found.kind == "encoder"
    assert found.config.family == "fastsam3d"
    assert all(name.startswith("image_encoder.") for name in found.tensors)


@pytest.mark.parametrize("config", [sam_med3d_config(), fastsam3d_config()], ids=lambda config: config.family)
def test_the_published_dimensions_are_read_off_the_tensors(config):
    assert detect_config(shapes_of(config), "a file") == config


def test_where_the_tensors_do_not_tell_the_family_it_must_be_named():
    shapes = shapes_of(SMALL_FASTSAM3D.with_(attention_from=0))
    with pytest.raises(CheckpointError, match="do not tell.*--family"):
        detect_config(shapes, "a file")
    assert detect_config(shapes, "a file", "fastsam3d").residual == "normed_stream"
    assert detect_config(shapes, "a file", "sam_med3d").residual == "pre_norm"


def test_a_family_that_contradicts_the_tensors_is_refused():
    with pytest.raises(CheckpointError, match="those of a fastsam3d network, not of a sam_med3d one"):
        detect_config(shapes_of(SMALL_FASTSAM3D), "a file", "sam_med3d")


@pytest.mark.parametrize(
    "change",
    [
        lambda shapes: shapes.pop("image_encoder.blocks.1.norm1.weight"),
        lambda shapes: shapes.pop("image_encoder.blocks.2.attn.rel_pos_d"),
        lambda shapes: shapes.pop("image_encoder.pos_embed"),
        lambda shapes: shapes.update({"image_encoder.blocks.x.norm1.weight": (32,)}),
        lambda shapes: shapes.update({"image_encoder.blocks.9.norm1.weight": (32,)}),
        lambda shapes: shapes.update({"image_encoder.blocks.0.attn.rel_pos_d": (7, 0)}),
        lambda shapes: shapes.update({"image_encoder.pos_embed": (1, 10**6, 4, 4, 32)}),
    ],
)
def test_shapes_of_no_published_network_are_refused(change):
    shapes = shapes_of(SMALL_SAM_MED3D)
    change(shapes)
    with pytest.raises(CheckpointError):
        detect_config(shapes, "a file")


@pytest.mark.parametrize(
    "content",
    [
        {"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.weight": torch.zeros(10, 64)},
        {"image_encoder.patch_embed.proj.weight": torch.zeros(768, 3, 16, 16)},  # SAM in 2D
        {},
        {"epoch": 3},
        torch.zeros(3),
        [1, 2, 3],
        {"model": {"image_encoder.patch_embed.proj.weight": torch.zeros(1, dtype=torch.int64)}},
        {"model": {"image_encoder.patch_embed.proj.weight": torch.eye(3).to_sparse()}},
    ],
)
def test_other_content_is_refused_with_a_remedy(tmp_path, content):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="Give a checkpoint of SAM-Med3D or FastSAM3D"):
        read_published(tmp_path / "model.pth")


class Harmful:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_file_that_wants_to_run_code_is_not_opened(tmp_path, new_format):
    content = {"model_state_dict": small_state(SMALL_FASTSAM3D), "x": Harmful(str(tmp_path / "harm"))}
    torch.save(content, tmp_path / "model.pth", _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"wants to run or construct \w+\.mkdir and was not opened"):
        read_published(tmp_path / "model.pth")
    assert not (tmp_path / "harm").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_pickle_does_not_run_either(tmp_path):
    (tmp_path / "model.pth").write_bytes(pickle.dumps(Harmful(str(tmp_path / "harm"))))
    with pytest.raises(CheckpointError):
        read_published(tmp_path / "model.pth")
    assert not (tmp_path / "harm").exists()


def test_the_allow_list_ends_with_the_call(tmp_path):
    torch.save({"model_state_dict": small_state(SMALL_FASTSAM3D)}, tmp_path / "model.pth")
    before = set(torch.serialization.get_safe_globals())
    read_published(tmp_path / "model.pth")
    assert set(torch.serialization.get_safe_globals()) == before


def test_damaged_missing_and_empty_files_are_told_apart(tmp_path):
    whole = tmp_path / "model.pth"
    torch.save(small_state(SMALL_FASTSAM3D), whole)
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:-5000])
    (tmp_path / "text.pth").write_text("not a checkpoint at all " * 10)
    (tmp_path / "empty.pth").touch()
    for name, message in (("cut", "truncated"), ("text", "truncated, damaged or no PyTorch"), ("empty", "is empty")):
        with pytest.raises(CheckpointError, match=message):
            read_published(tmp_path / f"{name}.pth")
    with pytest.raises(CheckpointError, match="There is no file"):
        read_published(tmp_path / "nothing.pth")
