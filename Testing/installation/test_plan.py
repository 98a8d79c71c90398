from __future__ import annotations

from pathlib import Path

import pytest

from MemorizingSAM3DLib.installation.plan import Choice, make_plan
from Testing.installation.fake_world import EVERYTHING, make_complete_folder, make_wheel


def names(plan):
    return [step.name for step in plan.steps]


def problems(plan):
    return " ".join(obstacle.problem for obstacle in plan.obstacles)


def remedies(plan):
    return " ".join(obstacle.remedy for obstacle in plan.obstacles)


def test_a_new_slicer_gets_what_it_lacks_and_pytorch_last(machine, installer):
    plan = make_plan(machine, installer)

    assert names(plan) == ["safetensors", "jsonschema", "pooch", "rich", "typer", "nibabel", "PyTorch"]
    assert plan.can_start
    assert plan.destination == machine.folder
    for step in plan.steps:
        assert step.why.endswith(".")
        assert step.megabytes > 0
    assert [step.source for step in plan.steps[-2:]] == ["pypi.org", "download.pytorch.org"]


def test_with_everything_there_nothing_is_done(machine, installer):
    machine.versions = dict(EVERYTHING)

    assert not make_plan(machine, installer).can_start


def test_pytorch_without_gpu_support_is_much_smaller(machine, installer):
    with_gpu = make_plan(machine, installer).megabytes
    cpu_only = make_plan(machine, installer, Choice(cpu_only=True)).megabytes

    assert cpu_only < with_gpu / 5


def test_a_computer_without_a_gpu_is_told_the_small_size_at_once(machine, installer):
    machine.nvidia = False

    assert make_plan(machine, installer).megabytes < 500


def test_what_came_with_slicer_is_never_replaced(machine, installer):
    machine.versions["scipy"] = "1.10.1"
    plan = make_plan(machine, installer)

    assert "scipy" not in names(plan)
    assert not plan.can_start
    assert "scipy came with this Slicer, but version 1.10.1, 1.14 or later is needed" in problems(plan)
    assert "Install Slicer 5.10 or later" in remedies(plan)


def test_a_slicer_built_without_scipy_gets_it(machine, installer):
    del machine.versions["scipy"]

    assert names(make_plan(machine, installer))[0] == "scipy"


@pytest.mark.parametrize(
    "python, problem, remedy",
    [((3, 9), "Python 3.9; 3.10 or later", "Slicer 5.10"), ((3, 15), "Python 3.15", "newer version of this extension")],
)
def test_a_python_that_does_not_fit(machine, installer, python, problem, remedy):
    machine.python = python
    plan = make_plan(machine, installer)

    assert not plan.can_start
    assert problem in problems(plan)
    assert remedy in remedies(plan)


def test_without_the_pytorch_extension_the_user_hears_how_to_get_it(machine, installer):
    installer.has_torch_extension = False
    plan = make_plan(machine, installer)

    assert not plan.can_start
    assert "Extensions Manager" in remedies(plan)


def test_with_pytorch_there_its_extension_is_not_needed(machine, installer):
    installer.has_torch_extension = False
    machine.versions["torch"] = "2.12.0"

    assert make_plan(machine, installer).can_start


def test_a_full_disk_is_noticed_before_anything_is_downloaded(machine, installer):
    machine.free = 3e9
    plan = make_plan(machine, installer)

    assert not plan.can_start
    assert "3.0 GB left" in problems(plan)
    assert make_plan(machine, installer, Choice(cpu_only=True)).can_start


def test_a_folder_that_may_not_be_written_to_is_noticed(machine, installer):
    machine.writable = False

    assert "You may not write" in problems(make_plan(machine, installer))


def test_a_deep_folder_on_windows_is_too_deep_for_pytorch(machine, installer):
    machine.folder = Path("C:/Users/a.very.long.name.of.a.user/AppData/Local/slicer.org/3D Slicer 5.12.0/lib/Python/x")
    assert make_plan(machine, installer).can_start

    machine.long_paths = False
    plan = make_plan(machine, installer)
    assert not plan.can_start
    assert "LongPathsEnabled" in remedies(plan)

    machine.system = "Linux"
    assert make_plan(machine, installer).can_start


def test_what_is_damaged_or_too_old_is_installed_anew(machine, installer):
    machine.versions = {**EVERYTHING, "rich": "12.0"}
    machine.damages["torch"] = "files are missing"
    steps = make_plan(machine, installer).steps

    assert [(step.name, step.anew) for step in steps] == [("rich", True), ("PyTorch", True)]


def test_pytorch_can_be_installed_anew_though_it_is_whole(machine, installer):
    machine.versions = dict(EVERYTHING)
    steps = make_plan(machine, installer, Choice(repair=("torch",))).steps

    assert [(step.name, step.anew) for step in steps] == [("PyTorch", True)]


def test_a_complete_folder_needs_neither_network_nor_pytorch_extension(machine, installer, tmp_path):
    installer.has_torch_extension = False
    plan = make_plan(machine, installer, Choice(folder=make_complete_folder(tmp_path / "wheels")))

    assert plan.obstacles == ()
    assert {step.source for step in plan.steps} == {"wheels"}


def test_a_folder_that_lacks_a_dependencys_wheel_names_it(machine, installer, tmp_path):
    folder = make_complete_folder(tmp_path)
    (folder / "rpds_py-2026.9.1-cp312-cp312-win_amd64.whl").unlink()
    plan = make_plan(machine, installer, Choice(folder=folder))

    assert not plan.can_start
    assert problems(plan) == "The folder lacks wheels: rpds-py 0.25.0 or later."
    assert "Python 3.12 on Windows x86_64" in remedies(plan)


def test_a_wheel_for_another_python_is_named_as_such(machine, installer, tmp_path):
    folder = make_complete_folder(tmp_path)
    (folder / "torch-2.13.0+cu130-cp312-cp312-win_amd64.whl").unlink()
    make_wheel(folder, "torch-2.13.0-cp311-cp311-win_amd64.whl")
    plan = make_plan(machine, installer, Choice(folder=folder))

    assert "torch 2.10 or later (there is torch-2.13.0-cp311-cp311-win_amd64.whl, which does not fit" in problems(plan)


def test_a_folder_that_is_gone(machine, installer, tmp_path):
    assert "There is no folder" in problems(make_plan(machine, installer, Choice(folder=tmp_path / "gone")))


def test_an_extra_is_installed_only_where_there_is_a_wheel(machine, installer):
    choice = Choice(extras=("faiss-gpu", "flash-attn"))
    assert names(make_plan(machine, installer, choice))[-1] == "PyTorch"

    machine.system = "Linux"
    assert names(make_plan(machine, installer, choice))[-2:] == ["PyTorch", "faiss-gpu"]
