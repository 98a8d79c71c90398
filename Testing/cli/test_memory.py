from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.case_memory.descriptor import Calibration
from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.models.weights_file import encoder_fingerprint
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.case_phantoms import ENCODER, LAYOUT, facts
from Testing.engine.case_phantoms import a_case as a_case_for_test_memory
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.learning.small_evaluations import two_blocks
from Testing.learning.small_files import a_manifest, write_case, write_volume

_COMMANDS = ("info", "list", "remove", "merge", "import", "export", "verify")


@pytest.fixture
def memory(tmp_path) -> CaseMemory:
    """Two livers in CT, one spleen in MR."""
    memory = CaseMemory.create(tmp_path / "memory", LAYOUT, ENCODER)
    for seed, (structure, modality) in enumerate([("liver", "CT"), ("liver", "CT"), ("spleen", "MR")]):
        memory.add(a_case_for_test_memory(seed), facts(structure, modality))
    return memory


def run(*arguments: object, answer: str | None = None):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["memory", *map(str, arguments)], input=answer)


def damage(memory: CaseMemory, case: str) -> None:
    path = memory.path / f"{case}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("command", _COMMANDS)
def test_the_help_of_every_command_has_an_example(command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"memorizing-sam3d memory {command} my_memory" in done.output


def test_files_are_handled_without_loading_what_is_heavy(memory):
    code = f"""
import sys
from MemorizingSAM3DLib.cli import main
sys.argv = ["memorizing-sam3d", "memory", "verify", {str(memory.path)!r}]
try:
    main()
finally:
    print("heavy:", sorted({{"torch", "SimpleITK", "safetensors", "scipy"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "is sound: 3 cases" in done.stdout
    assert "heavy: []" in done.stdout


def test_info_tells_what_a_memory_is(memory):
    done = run("info", memory.path)
    assert done.exit_code == 0
    for words in ("liver (2), spleen (1)", "CT (2), MR (1)", "2026-11-21", ENCODER, "keys.8 float16 [2, 27, 8]"):
        assert words in done.output
    found = json.loads(run("info", memory.path, "--json").output)
    assert (found["cases"], found["structures"], found["read_only"]) == (3, {"liver": 2, "spleen": 1}, False)
    assert found["size"] == memory.size_bytes


def test_the_list_can_be_of_one_structure(memory):
    assert run("list", memory.path).output.count("2026-11-21") == 3
    done = run("list", memory.path, "--structure", "Liver", "--modality", "CT")
    assert "2 of 3 cases" in done.output
    assert "spleen" not in done.output
    found = json.loads(run("list", memory.path, "--json").output)["cases"]
    assert {case["id"] for case in found} == set(memory.ids)


def test_a_name_with_brackets_is_shown_as_it_is(memory):
    memory.add(a_case_for_test_memory(9), facts("[red]tumour"))
    assert "[red]tumour" in run("list", memory.path).output


def test_a_case_is_removed_by_the_first_digits_of_its_id(memory):
    gone, *kept = memory.ids
    done = run("remove", memory.path, gone[:8], answer="y\n")
    assert done.exit_code == 0
    assert "2 cases are left" in done.output
    assert CaseMemory.open(memory.path).ids == tuple(kept)


def test_nothing_is_removed_without_a_yes_or_by_digits_that_do_not_tell(memory):
    assert run("remove", memory.path, "--all", answer="n\n").exit_code == 1
    for arguments in ([""], ["zzz"], []):
        done = run("remove", memory.path, *arguments, "--yes")
        assert done.exit_code == 2
    assert len(CaseMemory.open(memory.path)) == 3


def test_cases_of_a_structure_or_all_are_removed_at_once(memory):
    assert "1 cases are left" in run("remove", memory.path, "--structure", "LIVER", "--yes").output
    assert "0 cases are left" in run("remove", memory.path, "--all", "--yes").output
    assert "nothing to remove" in run("remove", memory.path, "--all", "--yes").output


def test_verify_names_what_is_damaged_and_remove_takes_it(memory):
    assert "is sound: 3 cases" in run("verify", memory.path).output
    broken = memory.ids[1]
    damage(memory, broken)
    done = run("verify", memory.path)
    assert done.exit_code == 1
    assert f"{broken}.safetensors" in done.output and "--damaged" in done.output
    assert json.loads(run("verify", memory.path, "--json").output)[0]["case"] == broken
    assert "2 cases are left" in run("remove", memory.path, "--damaged", "--yes").output
    assert run("verify", memory.path).exit_code == 0


def test_export_and_import_bring_a_memory_to_another_place(memory, tmp_path):
    file, folder = tmp_path / "all.safetensors", tmp_path / "new"
    assert "Wrote 3 cases" in run("export", memory.path, file).output
    assert run("export", memory.path, file).exit_code == 1
    assert run("export", memory.path, file, "--force").exit_code == 0
    assert "3 cases" in run("verify", file).output
    assert "3 cases taken over" in run("import", folder, file).output
    assert "0 cases taken over, 3 were there already" in run("import", folder, file).output
    copy = CaseMemory.open(folder)
    assert copy.ids == memory.ids
    np.testing.assert_array_equal(copy.stacked("keys.8"), memory.stacked("keys.8"))


def test_memories_are_merged(memory, tmp_path):
    other = CaseMemory.create(tmp_path / "other", LAYOUT, ENCODER)
    for seed in (2, 3):
        other.add(a_case_for_test_memory(seed), facts("spleen", "MR"))
    file = tmp_path / "third.safetensors"
    third = CaseMemory.create(tmp_path / "third", LAYOUT, ENCODER)
    third.add(a_case_for_test_memory(7), facts())
    third.export(file)
    done = run("merge", memory.path, other.path, file)
    assert "1 cases taken over, 1 were there already" in done.output
    assert len(CaseMemory.open(memory.path)) == 5


def test_a_memory_of_another_encoder_is_refused_before_anything_is_merged(memory, tmp_path):
    fitting = CaseMemory.create(tmp_path / "fitting", LAYOUT, ENCODER)
    fitting.add(a_case_for_test_memory(5), facts())
    other = CaseMemory.create(tmp_path / "other", LAYOUT, "cd" * 32)
    done = run("merge", memory.path, fitting.path, other.path)
    assert done.exit_code == 1
    assert "another image encoder" in done.output
    assert len(CaseMemory.open(memory.path)) == 3


@pytest.mark.parametrize("command", ["info", "list", "verify"])
def test_what_is_no_memory_is_told_in_one_line(tmp_path, command):
    (tmp_path / "foreign.safetensors").write_bytes(b"nonsense, but long enough")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "foreign.safetensors"):
        done = run(command, path)
        assert done.exit_code == 1
        assert done.output.startswith("Error:")
        assert done.output.count("\n") == 1


def fill(*arguments: object):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["memory", *map(str, arguments)])


@pytest.fixture
def a_model(tmp_path):
    torch.manual_seed(1)
    save_native(build_network(SMALL_NATIVE), tmp_path / "small.safetensors", {"steps": 9}, "float32")
    return tmp_path / "small.safetensors"


@pytest.fixture
def a_case(tmp_path):
    """--scan and --mask of a scan of one Jane Doe."""
    folder = tmp_path / "jane_doe"
    write_case(folder / "scan.nii.gz", folder / "label.nii.gz", two_blocks())
    return "--scan", folder / "scan.nii.gz", "--mask", folder / "label.nii.gz"


def test_a_memory_is_built_of_training_cases_and_resumed(tmp_path, a_model):
    manifest, memory = a_manifest(tmp_path / "data"), tmp_path / "memory"
    build = ("build", memory, "--manifest", manifest, "--model", a_model, "--minimum-ml", 0.1, "--device", "cpu")
    label = tmp_path / "data" / "one" / "1" / "label.nii.gz"
    aside = label.rename(label.with_name("aside.nii.gz"))
    result = fill(*build)
    assert result.exit_code == 1 and "2 structures are new" in result.output
    assert "one/1: " in result.output and "1 of 2 cases failed" in result.output
    aside.rename(label)
    result = fill(*build)
    assert result.exit_code == 0, result.output
    assert "2 structures are new, 0 were there already" in result.output
    memory = CaseMemory.open(memory)
    assert sorted(case.facts.structure for case in memory.cases) == ["bright", "bright", "dark", "dark"]
    assert not list(tmp_path.glob("*.building.json"))


def test_keys_and_values_are_kept_when_they_are_asked_for(tmp_path, a_model):
    arguments = ("--manifest", a_manifest(tmp_path / "data"), "--model", a_model, "--minimum-ml", 0.1, "--cases", 1)
    result = fill("build", tmp_path / "memory", *arguments, "--attention-layers", "1", "--structures", "dark")
    assert result.exit_code == 0, result.output
    memory = CaseMemory.open(tmp_path / "memory")
    assert memory.layout.layers == ("1",) and memory.stacked("keys.1").shape == (1, 2, 8, 24)
    result = fill("build", tmp_path / "other", *arguments, "--attention-layers", "0")
    assert result.exit_code == 1 and "Block 0" in result.output
    result = fill("build", tmp_path / "plain", *arguments)
    assert result.exit_code == 0
    result = fill("build", tmp_path / "plain", *arguments, "--attention-layers", "1")
    assert result.exit_code == 1 and "keeps no keys and values of block 1" in result.output


def test_no_case_to_remember_is_told(tmp_path, a_model):
    result = fill("build", tmp_path / "memory", "--manifest", a_manifest(tmp_path / "data"), "--model", a_model,
                 "--split", "nothing")  # fmt: skip
    assert result.exit_code == 1 and "--split" in result.output


def test_a_finished_structure_is_added_once(tmp_path, a_model, a_case):
    add = ("add", tmp_path / "memory", *a_case, "--structure", "left block", "--label", 1, "--model", a_model)
    result = fill(*add)
    assert result.exit_code == 0, result.output
    assert "remembered (" in result.output
    assert "was there already" in fill(*add).output
    (case,) = CaseMemory.open(tmp_path / "memory").cases
    assert (case.facts.structure, case.facts.source) == ("left block", "user")
    for path in (tmp_path / "memory").rglob("*.*"):
        assert b"jane" not in path.read_bytes().lower() and b"scan.nii" not in path.read_bytes()


def test_the_kind_of_scan_is_remembered_when_it_is_told(tmp_path, a_model, a_case):
    assert fill("add", tmp_path / "memory", *a_case, "--model", a_model, "--modality", "CT").exit_code == 0
    (case,) = CaseMemory.open(tmp_path / "memory").cases
    assert case.facts.modality == "CT"


def test_without_a_label_everything_that_is_not_zero_counts(tmp_path, a_model, a_case):
    for options in ((), ("--label", 1)):
        assert fill("add", tmp_path / "memory", *a_case, "--model", a_model, *options).exit_code == 0
    small, large = sorted(CaseMemory.open(tmp_path / "memory").stacked("prior.cell")[:, 0].tolist())
    assert large > 1.5 * small


def test_masks_that_cannot_be_remembered_are_told(tmp_path, a_model, a_case):
    add = ("add", tmp_path / "memory", *a_case, "--model", a_model)
    result = fill(*add, "--label", 9)
    assert result.exit_code == 1 and "empty" in result.output
    result = fill(*add, "--structure", "x" * 65)
    assert result.exit_code == 1 and "64" in result.output
    write_volume(tmp_path / "other.nii.gz", np.eye(20, dtype=np.uint8)[:, :, None].repeat(9, 2))
    result = fill("add", tmp_path / "memory", *a_case[:3], tmp_path / "other.nii.gz", "--model", a_model)
    assert result.exit_code == 1 and "another grid" in result.output


def test_another_models_memory_is_refused(tmp_path, a_model, a_case):
    assert fill("add", tmp_path / "memory", *a_case, "--model", a_model).exit_code == 0
    torch.manual_seed(2)
    save_native(build_network(SMALL_NATIVE), tmp_path / "other.safetensors", {"steps": 9}, "float32")
    result = fill("add", tmp_path / "memory", *a_case, "--model", tmp_path / "other.safetensors")
    assert result.exit_code == 1 and "another image encoder" in result.output


def test_a_calibration_is_written(tmp_path, a_model):
    out = tmp_path / "recall.safetensors"
    manifest = a_manifest(tmp_path / "data", 3)
    result = fill("calibrate", out, "--manifest", manifest, "--model", a_model, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "12 places" in result.output
    assert Calibration.load(out, SMALL_NATIVE).encoder == encoder_fingerprint(load(a_model).network)


@pytest.mark.parametrize("command", ["build", "add", "calibrate"])
def test_the_help_of_every_command_that_fills_has_an_example(command):
    done = fill(command, "--help")
    assert done.exit_code == 0 and f"memorizing-sam3d memory {command}" in done.output
