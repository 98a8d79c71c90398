from __future__ import annotations

from MemorizingSAM3DLib.installation.condition import Condition, examine, examine_by_import
from Testing.installation.fake_world import EVERYTHING


def conditions(machine):
    return {state.name: state.condition for state in examine(machine)}


def test_a_new_slicer_lacks_five_packages_and_pytorch(machine):
    missing = [name for name, condition in conditions(machine).items() if condition is Condition.MISSING]

    assert missing == ["safetensors", "jsonschema", "pooch", "rich", "typer", "nibabel", "torch"]


def test_with_everything_there_all_is_ready(machine):
    machine.versions = dict(EVERYTHING)

    assert set(conditions(machine).values()) == {Condition.READY}


def test_a_package_that_is_too_old_is_told_from_one_that_is_missing(machine):
    machine.versions["torch"] = "2.9.1"
    state = examine(machine)[-1]

    assert state.condition is Condition.TOO_OLD
    assert state.detail == "version 2.9.1, 2.10 or later is needed"


def test_a_package_with_lost_files_is_damaged_whatever_its_version(machine):
    machine.versions["torch"] = "2.13.0"
    machine.damages["torch"] = "2 of its files are missing"

    assert conditions(machine)["torch"] is Condition.DAMAGED


def test_slicers_simpleitk_needs_no_metadata(machine):
    del machine.versions["SimpleITK"]
    assert conditions(machine)["SimpleITK"] is Condition.MISSING

    machine.modules.add("SimpleITK")
    assert conditions(machine)["SimpleITK"] is Condition.READY


def test_a_package_that_cannot_be_imported_is_damaged_though_it_looks_whole(machine):
    machine.versions = dict(EVERYTHING)
    machine.import_problems["torch"] = "OSError: [WinError 126] The specified module could not be found"
    assert conditions(machine)["torch"] is Condition.READY

    state = examine_by_import(machine)[-1]
    assert state.condition is Condition.DAMAGED
    assert "WinError 126" in state.detail
