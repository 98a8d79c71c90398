"""A result never replaces what it is made from, and what exists only when that is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from MemorizingSAM3DLib.engine.errors import OutputError
from MemorizingSAM3DLib.engine.scans.outputs import check_output


@pytest.fixture
def a_folder(tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    (tmp_path / "series").mkdir()
    for name in ("scans/ct.nii.gz", "scans/mr.nrrd", "series/0001.dcm", "old.nrrd"):
        (tmp_path / name).write_bytes(b"scan")
    (tmp_path / "link.nrrd").symlink_to(tmp_path / "scans/mr.nrrd")
    os.link(tmp_path / "scans/mr.nrrd", tmp_path / "hard.nrrd")
    (tmp_path / "linked").symlink_to(tmp_path / "scans")
    (tmp_path / "dangling.nrrd").symlink_to(tmp_path / "scans/new.nrrd")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("output", "source"),
    [
        ("scans/mr.nrrd", "scans/mr.nrrd"),
        ("./scans/../scans/mr.nrrd", "scans/mr.nrrd"),
        ("scans/mr.nrrd", "link.nrrd"),
        ("link.nrrd", "scans/mr.nrrd"),
        ("hard.nrrd", "scans/mr.nrrd"),
        ("linked/mr.nrrd", "scans/mr.nrrd"),
        ("dangling.nrrd", "scans/new.nrrd"),
        ("series/0001.dcm", "series"),
        ("series/mask.nrrd", "series"),
        ("scans/ct.nii", "scans/ct.nii.gz"),
        ("linked/CT.img", "scans/ct.nii.gz"),
        ("scans/ct.hdr", "scans/ct.nii.gz"),
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_an_output_that_is_an_input_or_taken_for_it_is_refused_even_with_force(a_folder, output, source, absolute):
    path = a_folder / output if absolute else Path(output)
    with pytest.raises(OutputError, match="is the input|lies in the input|would be read in its place") as caught:
        check_output(path, [Path("old.nrrd"), Path(source)], replace=True)
    assert "Give another name." in str(caught.value) or "Choose another folder." in str(caught.value)


def test_what_exists_is_replaced_only_if_that_is_asked_for(a_folder):
    with pytest.raises(OutputError, match="exists already.*--force"):
        check_output(Path("old.nrrd"))
    check_output(Path("old.nrrd"), replace=True)
    check_output(Path("new.nrrd"))


def test_a_folder_is_no_file_and_a_file_no_folder(a_folder):
    with pytest.raises(OutputError, match="is a folder"):
        check_output(Path("scans"), replace=True)
    with pytest.raises(OutputError, match="is a file, not a folder"):
        check_output(Path("old.nrrd") / "mask.nrrd")


def test_another_file_beside_the_scan_is_fine(a_folder):
    check_output(Path("scans/ct_mask.nii.gz"), [Path("scans/ct.nii.gz")])
    check_output(Path("scans/ct.seg.nrrd"), [Path("scans/ct.nii.gz")])
    check_output(Path("ct.nii.gz"), [Path("scans/ct.nii.gz")])
