"""A reader's folder: scans, labels and a model, all of them tiny."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from MemorizingSAM3DLib.engine.models.checkpoints import save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.docs.substitutions import SMALL_MODEL
from Testing.engine.small_networks import SMALL_NATIVE

_SPACING, _SIZE = 4.0, 32
_CENTRE = (50.0, -14.0, 102.0)  # between the points that the pages click, RAS mm


def _write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((_SPACING,) * 3)
    r, a, s = (centre - _SPACING * (_SIZE - 1) / 2 for centre in _CENTRE)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # axes to the right, to the front, upwards, as NIfTI has them
    image.SetOrigin((-r, -a, s))
    sitk.WriteImage(image, str(path))


def _a_scan(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(K, J, I): a bright ball of 60 mm in a dark CT with a little noise, and where it is."""
    steps = np.indices((_SIZE,) * 3) - (_SIZE - 1) / 2
    inside = (steps**2).sum(0) <= (30 / _SPACING) ** 2
    noise = np.random.default_rng(seed).normal(0, 10, inside.shape)
    return (np.where(inside, 150, -100) + noise).astype(np.int16), inside.astype(np.uint8)


@pytest.fixture(scope="session")
def the_readers_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ct.nii.gz with liver.nii.gz, a data set of five such in FOLDER as nnU-Net has it, and a small model."""
    folder = tmp_path_factory.mktemp("reader")
    scan, liver = _a_scan(0)
    _write(folder / "ct.nii.gz", scan)
    _write(folder / "liver.nii.gz", liver)
    for number in range(5):
        scan, liver = _a_scan(number)
        _write(folder / "FOLDER" / "imagesTr" / f"case_{number}_0000.nii.gz", scan)
        _write(folder / "FOLDER" / "labelsTr" / f"case_{number}.nii.gz", liver)
    about = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz"}
    (folder / "FOLDER" / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    torch.manual_seed(0)
    save_native(build_network(SMALL_NATIVE), folder / SMALL_MODEL, {})
    return folder


@pytest.fixture
def a_readers_folder(the_readers_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them; the current folder."""
    folder = tmp_path / "reader"
    shutil.copytree(the_readers_files, folder)
    monkeypatch.chdir(folder)
    return folder
