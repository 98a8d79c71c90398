from __future__ import annotations

import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.learning.data.cases import FOREGROUND, Case, load_cases
from MemorizingSAM3DLib.learning.data.manifest import DataError, read_manifest
from MemorizingSAM3DLib.learning.data.pack import (
    MARGIN_MM,
    Collection,
    Quantisation,
    is_pack,
    load_pack,
    read_pack,
    write_pack,
)
from Testing.learning.data.test_cases import a_case as a_case_with_a_voxel
from Testing.learning.small_cases import a_case
from Testing.learning.small_files import a_manifest, write_case

INT16 = np.dtype(np.int16)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["CT", "MR", "PET"]), st.integers(0, 999), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_no_intensity_is_off_by_more_than_half_a_step(modality, seed, scale, offset):
    rng = np.random.default_rng(seed)
    image = (rng.gamma(1.0, scale, (8, 9, 10)) + offset).astype(np.float32)
    codes = Quantisation.of(image, modality)
    found = codes.decoded(codes.encoded(image), np.dtype(np.float32))
    bent = [np.arcsinh((part.astype(np.float64) - codes.centre) / codes.scale) for part in (image, found)]
    # Where float32 itself is finer than a step, it decides.
    rounding = np.spacing(np.abs(image).max()) / codes.scale + np.spacing(np.float32(np.abs(bent).max()))
    assert np.abs(bent[0] - bent[1]).max() <= codes.step / 2 * 1.01 + 4 * rounding


def test_steps_are_about_as_large_as_the_noise():
    rng = np.random.default_rng(0)
    slope = np.linspace(0, 400, 40)[:, None, None]
    for deviation in (3.0, 6.0):
        image = 1000 + slope + rng.normal(0, deviation, (40, 40, 40))
        codes = Quantisation.of(image.astype(np.float32), "MR")
        bent_noise = deviation / np.sqrt(codes.scale**2 + (image - codes.centre) ** 2)  # what asinh makes of it
        assert codes.step == pytest.approx(float(np.median(bent_noise)), rel=0.1)
    finer = Quantisation.of(image.astype(np.float32), "MR", noise_steps=0.5)
    assert finer.step == pytest.approx(0.5 * codes.step, rel=0.01)


def test_ct_keeps_soft_tissue_finer_than_air_and_metal():
    image = a_case("one/ct", "CT").image
    codes = Quantisation.of(image, "CT")
    values = codes.decoded(np.arange(256, dtype=np.uint8), np.dtype(np.float32))
    steps = np.diff(values)
    tissue, air = np.abs(values[:-1] - 40) < 60, values[:-1] < -800
    assert steps[tissue].max() < 0.3 * steps[air].min()


def test_whole_numbers_come_back_as_whole_numbers_within_their_type():
    image = np.array([[[-32768, 0, 5, 32767]] * 4] * 4, dtype=np.int16)
    codes = Quantisation.of(image, "MR")
    found = codes.decoded(codes.encoded(image), INT16)
    assert found.dtype == INT16 and found[0, 0, 0] == -32768


def test_a_constant_image_comes_back():
    image = np.full((4, 4, 4), 7, dtype=np.int16)
    codes = Quantisation.of(image, "MR")
    np.testing.assert_array_equal(codes.decoded(codes.encoded(image), INT16), image)


ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def a_folder(tmp_path_factory) -> Path:
    """manifest.json with three cases, and all.pack of them."""
    folder = tmp_path_factory.mktemp("cases")
    manifest = a_manifest(folder)
    write_pack(folder, read_manifest(manifest), folder / "all.pack")
    return folder


def packed_alone(folder: Path, case: Case) -> list[Case]:
    """A case that went to files, into a pack and out of it."""
    write_case(folder / "image.nii.gz", folder / "label.nii.gz", case)
    labels = {str(value): {"name": name} for value, name in case.structures.items()}
    entry = {"id": "one/a", "dataset": "one", "case": "a", "split": "train", "modality": "MR", "licence": "CC0",
             "labels": labels, "image": "image.nii.gz", "label": "label.nii.gz"}  # fmt: skip
    write_pack(folder, [entry], folder / "one.pack")
    return load_pack(folder / "one.pack", [entry], folder)


@pytest.fixture(scope="module")
def both(a_folder) -> list[tuple[Case, Case]]:
    """Each case as it was, and out of the pack."""
    pack = a_folder / "all.pack"
    whole = load_cases(a_folder / "manifest.json", read_manifest(a_folder / "manifest.json"))
    return list(zip(whole, load_pack(pack, read_pack(pack), a_folder / "cache"), strict=True))


def test_a_pack_holds_the_manifest(a_folder):
    listed, packed = read_manifest(a_folder / "manifest.json"), read_pack(a_folder / "all.pack")
    for entry, found in zip(listed, packed, strict=True):
        assert {key: found[key] for key in entry} == entry
    assert is_pack(a_folder / "all.pack") and not is_pack(a_folder / "manifest.json")


def test_labels_come_back_exactly_and_intensities_within_their_noise(both):
    for case, packed in both:
        assert (packed.name, packed.dataset, packed.modality) == (case.name, case.dataset, case.modality)
        assert packed.spacing == pytest.approx(case.spacing) and packed.structures == case.structures
        for label in case.structures:
            place, other = case.target(label), packed.target(label)
            kept = tuple(slice(a, b) for a, b in zip(place.low, place.high, strict=True))
            found = tuple(slice(a, b) for a, b in zip(other.low, other.high, strict=True))
            np.testing.assert_array_equal(packed.labels[found], case.labels[kept])
            shown, original = (np.arcsinh((i - 40.0) / 60) for i in (packed.image[found], case.image[kept]))
            noise = 12 / np.sqrt(60**2 + (case.image[kept].mean() - 40) ** 2)  # what asinh makes of 12 HU
            assert (shown - original).std() < noise and abs((shown - original).mean()) < 0.15 * noise
        assert packed.image.dtype == case.image.dtype


def test_air_around_the_body_is_left_out_but_a_margin(tmp_path):
    case = a_case()
    around = [(20, 20)] * 3
    padded = replace(case, image=np.pad(case.image, around), labels=np.pad(case.labels, around), body=None)
    (packed,) = packed_alone(tmp_path, padded)
    margin = np.ceil(MARGIN_MM / np.array(case.spacing)).astype(int)
    body = np.array([24, 20, 16])
    assert packed.image.shape == tuple((body + 2 * margin).tolist())
    assert packed.mask(FOREGROUND).sum() == padded.mask(FOREGROUND).sum()


def test_a_structure_outside_of_the_body_is_kept(tmp_path):
    (packed,) = packed_alone(tmp_path, a_case_with_a_voxel())
    assert {label: int((packed.labels == label).sum()) for label in (2, 5)} == {2: 360, 5: 1}


def test_a_pack_is_expanded_once_and_mapped(a_folder, both, tmp_path):
    pack = a_folder / "all.pack"
    (expanded,) = (a_folder / "cache").iterdir()
    before = expanded.stat().st_mtime_ns
    seen = []
    cases = load_pack(pack, read_pack(pack)[:1], a_folder / "cache", lambda done, total: seen.append((done, total)))
    assert [case.name for case in cases] == ["one/0"] and seen == [(3, 3)]
    assert expanded.stat().st_mtime_ns == before
    assert isinstance(cases[0].image.base, np.memmap) or isinstance(cases[0].image, np.memmap)
    cases[0].image[0, 0, 0] += 1  # what is written stays in this process
    np.testing.assert_array_equal(load_pack(pack, read_pack(pack)[:1], a_folder / "cache")[0].image, both[0][1].image)


def test_manifests_and_packs_are_collections_alike(a_folder):
    listed, packed = Collection.open(a_folder / "manifest.json"), Collection.open(a_folder / "all.pack")
    assert [entry["id"] for entry in listed.entries] == [entry["id"] for entry in packed.entries]
    names = [
        [case.name for case in found.load(found.entries[1:], a_folder / "cache")] for found in (listed, packed)
    ]  # fmt: skip
    assert names == [["one/1", "one/2"]] * 2


def test_a_damaged_pack_is_told(a_folder, tmp_path):
    whole = (a_folder / "all.pack").read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("empty", b""), ("other", b"PK\x05\x06" + bytes(18))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="no training pack, or damaged"):
            read_pack(tmp_path / name)
    broken = bytearray(whole)
    broken[300:340] = bytes(40)  # within the first image's stream
    (tmp_path / "broken").write_bytes(broken)
    with pytest.raises(DataError, match="is damaged"):
        load_pack(tmp_path / "broken", read_pack(tmp_path / "broken"), tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    with pytest.raises(DataError, match="There is no training pack"):
        read_pack(tmp_path / "missing")


def test_a_pack_of_a_later_version_is_told(a_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("MemorizingSAM3DLib.learning.data.pack.VERSION", 99)
    with pytest.raises(DataError, match="version 1, which this program cannot read"):
        read_pack(a_folder / "all.pack")


def test_a_pack_that_cannot_be_written_leaves_the_previous_one(a_folder, tmp_path):
    (tmp_path / "x.pack").write_bytes(b"previous")
    entries = read_manifest(a_folder / "manifest.json")
    with pytest.raises(DataError):
        write_pack(tmp_path, entries, tmp_path / "x.pack")  # no scans there
    assert [path.name for path in tmp_path.iterdir()] == ["x.pack"]
    assert (tmp_path / "x.pack").read_bytes() == b"previous"
    with pytest.raises(OutputError, match="cannot be written"):
        write_pack(a_folder, entries, tmp_path / "x.pack" / "x.pack")


def test_a_cache_that_cannot_be_written_is_told(a_folder, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(OutputError, match="choose another folder with --cache"):
        load_pack(a_folder / "all.pack", read_pack(a_folder / "all.pack"), tmp_path / "cache")


def test_a_pack_is_a_zip_archive_of_small_streams(a_folder):
    with zipfile.ZipFile(a_folder / "all.pack") as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist())[:3] == ["0.body", "0.image", "0.labels"]
    voxels = sum(int(np.prod(entry["shape"])) for entry in read_pack(a_folder / "all.pack"))
    assert (a_folder / "all.pack").stat().st_size < voxels  # less than a byte a voxel, labels included


def test_training_on_a_pack_needs_no_simpleitk(a_folder):
    # A machine with GPUs that a pack is carried to may not have it.
    code = f"""
import sys
sys.modules["SimpleITK"] = None
from pathlib import Path
import torch
from MemorizingSAM3DLib.learning.data.pack import Collection
from MemorizingSAM3DLib.learning.data.batches import DeviceBatches
from Testing.engine.small_networks import SMALL_NATIVE
from MemorizingSAM3DLib.learning.processes import Processes
ALONE = Processes(0, 1, torch.device("cpu"))
import MemorizingSAM3DLib.cli.train, MemorizingSAM3DLib.cli.training_run, MemorizingSAM3DLib.engine.models.checkpoints
pack = Collection.open(Path({str(a_folder / "all.pack")!r}))
cases = pack.load(pack.entries, Path({str(a_folder / "cache")!r}))
assert DeviceBatches(cases, SMALL_NATIVE, 2, ALONE).batch_of(0).images.isfinite().all()
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
