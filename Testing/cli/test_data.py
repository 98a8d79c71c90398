from __future__ import annotations

import json

import numpy as np
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.learning.data.manifest import read_manifest
from MemorizingSAM3DLib.learning.data.pack import read_pack
from Testing.learning.small_cases import a_case
from Testing.learning.small_files import a_manifest, write_case, write_volume


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["data", *map(str, arguments)])


def an_nnunet_folder(tmp_path):
    folder = tmp_path / "Dataset001"
    for number in range(3):
        case = a_case(f"one/{number}", "CT", seed=number)
        write_case(folder / f"imagesTr/c{number}_0000.nii.gz", folder / f"labelsTr/c{number}.nii.gz", case)
    about = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "block": 1, "cube": 2}}
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def test_a_folder_of_nnunet_becomes_a_manifest_and_a_pack(tmp_path):
    manifest, pack = tmp_path / "new" / "manifest.json", tmp_path / "packs" / "train.pack"
    result = run("manifest", an_nnunet_folder(tmp_path), "--licence", "CC BY 4.0", "--out", manifest)
    assert result.exit_code == 0, result.output
    assert "2 train, 1 val; CT" in result.output
    entries = read_manifest(manifest)
    assert [about["name"] for about in entries[0]["labels"].values()] == ["block", "cube"]
    assert {entry["licence"] for entry in entries} == {"CC BY 4.0"}

    result = run("pack", "--manifest", manifest, "--out", pack)
    assert result.exit_code == 0 and "2 cases" in result.output
    assert [entry["split"] for entry in read_pack(pack)] == ["train", "train"]
    assert run("pack", "--manifest", manifest, "--out", pack, "--split", "train,val").exit_code == 1
    assert run("pack", "--manifest", manifest, "--out", pack, "--split", "train,val", "--force").exit_code == 0
    assert len(read_pack(pack)) == 3


def test_options_say_what_the_files_do_not(tmp_path):
    out = tmp_path / "m.json"
    options = ("--dataset", "mine", "--modality", "MR", "--label", "2=spleen", "--val-share", 0)
    assert run("manifest", an_nnunet_folder(tmp_path), "--out", out, *options).exit_code == 0
    entries = read_manifest(out)
    assert {entry["split"] for entry in entries} == {"train"}
    assert (entries[0]["dataset"], entries[0]["modality"], entries[0]["licence"]) == ("mine", "MR", "unknown")
    assert entries[0]["labels"]["2"]["name"] == "spleen"
    assert run("manifest", tmp_path, "--out", out, "--label", "spleen").exit_code == 2


def test_cases_that_cannot_be_used_are_told_and_left_out_if_wished(tmp_path):
    folder, out = an_nnunet_folder(tmp_path), tmp_path / "m.json"
    write_volume(folder / "labelsTr/c1.nii.gz", np.zeros((32, 28, 22), np.uint8))
    result = run("manifest", folder, "--out", out)
    assert result.exit_code == 1 and "c1 has no labelled voxel" in result.output
    assert "1 of 3 cases cannot be used" in result.output and not out.exists()
    result = run("manifest", folder, "--out", out, "--skip-faulty")
    assert result.exit_code == 0 and len(read_manifest(out)) == 2


def test_files_without_a_partner_are_told(tmp_path):
    folder = an_nnunet_folder(tmp_path)
    (folder / "labelsTr/c2.nii.gz").unlink()
    result = run("manifest", folder, "--out", tmp_path / "m.json")
    assert result.exit_code == 0 and "without a partner: c2_0000.nii.gz." in result.output


def test_a_pack_of_nothing_is_told(tmp_path):
    result = run("pack", "--manifest", a_manifest(tmp_path), "--out", tmp_path / "x.pack", "--datasets", "other")
    assert result.exit_code == 1 and "No case of" in result.output
