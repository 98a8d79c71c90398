from __future__ import annotations

from pathlib import Path

import pytest

from MemorizingSAM3DLib.installation.requirements import TORCH, Requirement
from MemorizingSAM3DLib.installation.wheels import WheelFolder, wheel_of
from Testing.installation.fake_world import make_complete_folder, make_wheel


def fits(name, machine):
    return wheel_of(Path(name)).fits(machine)


@pytest.mark.parametrize(
    "name",
    [
        "rich-15.0.0-py3-none-any.whl",
        "shellingham-1.5.4-py2.py3-none-any.whl",
        "safetensors-0.8.0-cp310-abi3-win_amd64.whl",
        "torch-2.13.0+cu130-cp312-cp312-win_amd64.whl",
        "triton-3-1-cp312-cp312-win_amd64.whl",
    ],
)
def test_wheels_that_fit_slicers_python_on_windows(machine, name):
    assert fits(name, machine)


@pytest.mark.parametrize(
    "name",
    [
        "torch-2.13.0-cp311-cp311-win_amd64.whl",
        "torch-2.13.0-cp313-cp313-win_amd64.whl",
        "torch-2.13.0-cp311-none-win_amd64.whl",
        "safetensors-0.8.0-cp313-abi3-win_amd64.whl",
        "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "torch-2.13.0-cp312-cp312-macosx_11_0_arm64.whl",
        "torch-2.13.0-cp312-cp312-win_arm64.whl",
        "old-1.0-py2-none-any.whl",
    ],
)
def test_wheels_that_do_not(machine, name):
    assert not fits(name, machine)


def test_linux_and_macs_have_their_own(machine):
    machine.system = "Linux"
    assert fits("torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl", machine)
    assert not fits("rpds_py-1-cp312-cp312-musllinux_1_2_x86_64.whl", machine)
    machine.system, machine.architecture = "Darwin", "arm64"
    assert fits("torch-2.13.0-cp312-none-macosx_11_0_arm64.whl", machine)
    assert fits("rpds_py-1-cp312-cp312-macosx_10_12_universal2.whl", machine)


@pytest.mark.parametrize("name", ["notes.txt", "torch.whl", "torch-2.13.0.tar.gz", "a-b-c-d-e-f-g.whl"])
def test_other_files_are_no_wheels(name):
    assert wheel_of(Path(name)) is None


def test_the_newest_wheel_that_fits_is_taken(machine, tmp_path):
    for version in ("2.9.1", "2.11.0", "2.13.0"):
        make_wheel(tmp_path, f"torch-{version}-cp312-cp312-win_amd64.whl")
    make_wheel(tmp_path, "torch-2.14.0-cp313-cp313-win_amd64.whl")

    assert WheelFolder(tmp_path).best(TORCH, machine).version == "2.13.0"


def test_models_in_the_folder_are_found(tmp_path):
    folder = WheelFolder(make_complete_folder(tmp_path))

    assert [path.name for path in folder.models] == ["our_model.safetensors"]


def test_what_slicer_has_need_not_be_in_the_folder(machine, tmp_path):
    make_wheel(tmp_path, "pooch-1.9.0-py3-none-any.whl", ["requests>=2.19.0", "platformdirs>=2.5.0"])

    assert WheelFolder(tmp_path).missing([Requirement("pooch", "1.8")], machine) == ["platformdirs 2.5.0 or later"]


def test_dependencies_of_other_systems_and_of_extras_are_not_asked_for(machine, tmp_path):
    requires = [
        'nvidia-cudnn; platform_system == "Nowhere"',
        'pytest>=8; extra == "dev"',
        'filelock; python_version > "3"',
    ]
    make_wheel(tmp_path, "torch-2.13.0-cp312-cp312-win_amd64.whl", requires)

    assert WheelFolder(tmp_path).missing([TORCH], machine) == ["filelock"]


def test_wheels_that_need_each_other_are_looked_at_once(machine, tmp_path):
    make_wheel(tmp_path, "a-1-py3-none-any.whl", ["b"])
    make_wheel(tmp_path, "b-1-py3-none-any.whl", ["a"])

    assert WheelFolder(tmp_path).missing([Requirement("a", "1")], machine) == []


def test_a_file_that_only_looks_like_a_wheel_is_missing(machine, tmp_path):
    (tmp_path / "a-1-py3-none-any.whl").write_bytes(b"<html>log in first</html>")

    assert WheelFolder(tmp_path).missing([Requirement("a", "1")], machine) == [
        "a 1 or later (the file a-1-py3-none-any.whl is no wheel; download it again)"
    ]


def test_a_packages_size_counts_what_it_brings_along(machine, tmp_path):
    torch = make_wheel(tmp_path, "torch-2.13.0-cp312-cp312-win_amd64.whl", ["filelock", "numpy"])
    filelock = make_wheel(tmp_path, "filelock-4.2.11-py3-none-any.whl")
    size = torch.stat().st_size + filelock.stat().st_size

    assert WheelFolder(tmp_path).megabytes(TORCH, machine) == pytest.approx(size / 1e6)
