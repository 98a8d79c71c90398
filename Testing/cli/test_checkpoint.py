from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.models.download import model_path
from MemorizingSAM3DLib.engine.models.registry import known_models
from Testing.engine.small_networks import SMALL_FASTSAM3D, small_state


@pytest.fixture
def a_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMORIZING_SAM3D_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def a_published_file(tmp_path):
    torch.save({"model_state_dict": small_state(SMALL_FASTSAM3D)}, tmp_path / "model.pth")
    return tmp_path / "model.pth"


def run(*arguments: object, answer: str | None = None):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["checkpoint", *map(str, arguments)], input=answer)


def test_help_names_every_command_and_loads_nothing_heavy():
    code = """
import sys
from MemorizingSAM3DLib.cli import main
sys.argv = ["memorizing-sam3d", "checkpoint", "--help"]
try:
    main()
finally:
    print("heavy:", sorted({"torch", "numpy", "SimpleITK", "pooch", "requests", "jsonschema"} & set(sys.modules)))
"""
    # Whatever locale a test before has set: Qt and VTK set one for the whole process.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    for command in ("inspect", "convert", "download", "list", "remove"):
        assert command in done.stdout
    assert "heavy: []" in done.stdout


@pytest.mark.parametrize("command", ["inspect", "convert", "download", "list", "remove"])
def test_the_help_of_every_command_has_an_example(command):
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"memorizing-sam3d checkpoint {command}" in done.output


def test_the_list_tells_which_models_are_here(a_cache):
    fastsam3d = known_models().find("fastsam3d")
    model_path(fastsam3d).write_bytes(bytes(2_000_000))
    (a_cache / "sam_med3d_turbo.pth.part").write_bytes(bytes(1_000_000))
    done = run("list", "--json")
    listed = json.loads(done.stdout)
    assert listed["cache"] == str(a_cache)
    states = {model["name"]: model["state"] for model in listed["models"]}
    assert states["native-v4"] == "shipped"
    assert states["fastsam3d"] == "here"
    assert states["sam-med3d-turbo"] == "partly here"
    assert states["sam-med3d-turbo-cvpr"] == "not here"
    text = run("list").output
    assert "2.0 MB" in text and "partly here" in text and "unknown" in text


def test_a_published_file_is_converted_and_both_are_inspected(a_cache, a_published_file, tmp_path):
    done = run("convert", a_published_file)
    assert done.exit_code == 0, done.output
    assert f"Wrote {tmp_path / 'model.safetensors'}" in done.output
    found = json.loads(run("inspect", tmp_path / "model.safetensors", "--json").stdout)
    assert (found["family"], found["kind"], found["origin"]["file"]) == ("fastsam3d", "segmentation", "model.pth")
    text = run("inspect", a_published_file).output
    assert "depth 3, width 32, 2 heads, attention from block 1, window none" in text
    assert f"{found['parameters']:,}" in text


def test_converting_onto_a_file_is_wrong_usage_unless_forced(a_published_file, tmp_path):
    (tmp_path / "model.safetensors").write_text("mine")
    done = run("convert", a_published_file)
    assert done.exit_code == 2
    assert "is there already" in done.output
    assert (tmp_path / "model.safetensors").read_text() == "mine"
    assert run("convert", a_published_file, "--force").exit_code == 0


def test_an_error_is_one_line_with_a_remedy_and_exit_code_1(tmp_path):
    (tmp_path / "empty.pth").touch()
    done = run("inspect", tmp_path / "empty.pth")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.strip().splitlines()[-1].startswith("Error: The checkpoint")
    assert "Traceback" not in done.output


def test_wrong_usage_is_exit_code_2(a_published_file):
    assert run("inspect").exit_code == 2
    assert run("convert", a_published_file, "--family", "unet").exit_code == 2
    assert run("no-such-command").exit_code == 2


def test_an_interrupt_is_exit_code_130(monkeypatch):
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("MemorizingSAM3DLib.engine.models.checkpoints.inspect", interrupt)
    done = run("inspect", "native-v4")
    assert done.exit_code == 130
    assert "Interrupted" in done.stderr


def test_the_licence_is_told_before_anything_is_fetched(a_cache, monkeypatch):
    monkeypatch.setattr(
        "MemorizingSAM3DLib.engine.models.download.fetch", lambda *_arguments: print("fetched") or "there"
    )
    done = run("download", "sam-med3d-turbo")
    entry = known_models().find("sam-med3d-turbo")
    assert done.exit_code == 0, done.output
    told = f"SAM-Med3D turbo, licence Apache-2.0, from {entry.url}"
    assert told in done.stderr
    assert done.output.index(told) < done.output.index("fetched") < done.output.index("is in there")


def test_for_the_model_that_came_along_no_licence_is_told(a_cache):
    done = run("download", "native-v4")
    assert done.exit_code == 0, done.output
    assert "licence" not in done.output


def test_downloading_needs_consent_where_nothing_can_be_verified(a_cache):
    done = run("download", "fastsam3d")
    assert done.exit_code == 1
    assert "--allow-unverified" in done.stderr


def test_downloading_without_a_network_tells_where_to_copy_the_file(a_cache, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    done = run("download", "sam-med3d-turbo")
    assert done.exit_code == 1
    assert "cannot be reached" in done.stderr
    assert f"copy it to {a_cache / 'sam_med3d_turbo.pth'}" in done.stderr


def test_an_unknown_name_gets_a_suggestion():
    done = run("download", "sam-med3d")
    assert done.exit_code == 1
    assert "Did you mean sam-med3d-turbo?" in done.stderr


def test_removing_asks_first(a_cache):
    path = model_path(known_models().find("fastsam3d"))
    path.write_bytes(bytes(1_000_000))
    assert run("remove", "fastsam3d", answer="n\n").exit_code == 1
    assert path.exists()
    done = run("remove", "fastsam3d", "--yes")
    assert "1.0 MB freed" in done.output
    assert not path.exists()
    assert run("remove", "native-v4", "--yes").exit_code == 1


def test_registering_a_file_writes_its_hash(tmp_path, a_cache):
    from MemorizingSAM3DLib.engine.files import resource_path

    registry = tmp_path / "registry.json"
    registry.write_bytes(resource_path("Models", "registry.json").read_bytes())
    weights = tmp_path / "memorizing_sam3d_v4.safetensors"
    weights.write_bytes(b"weights")
    done = run("register", "native-v4", weights, "--registry", registry)
    assert done.exit_code == 0, done.output
    assert json.loads(registry.read_text())["models"][0]["size"] == 7


def test_a_training_is_packed_with_fewer_levels(tmp_path):
    from safetensors import safe_open

    from Testing.learning.small_trainings import a_trainer

    run_folder = tmp_path / "run"
    trainer = a_trainer(run_folder)
    trainer.run()
    save_native(trainer.objective.network, run_folder / "model.safetensors", {"steps": 4}, "int8")
    done = run("pack", run_folder, tmp_path / "packed.safetensors", "--levels", "image_encoder=15", "--levels", "=63")
    assert done.exit_code == 0, done.output
    assert load(tmp_path / "packed.safetensors").training == {"steps": 4}
    with safe_open(tmp_path / "packed.safetensors", framework="pt") as file:
        names = [name for name in file.keys() if file.get_slice(name).get_dtype() == "I8"]
        most = {name.split(".")[0]: int(file.get_tensor(name).abs().max()) for name in names}
    assert most["image_encoder"] == 15 and most["mask_decoder"] == 63
    assert run("pack", run_folder, tmp_path / "x.safetensors", "--levels", "a=0").exit_code == 2


def test_the_version_is_that_of_the_package():
    from MemorizingSAM3DLib import __version__

    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == f"memorizing-sam3d {__version__}"


def test_names_are_whole_however_narrow_the_terminal_is():
    from typer.testing import CliRunner

    from MemorizingSAM3DLib.cli import app

    shown = CliRunner().invoke(app, ["checkpoint", "list"], env={"COLUMNS": "60"}).output
    for name in ("native-v4", "sam-med3d-turbo-cvpr", "fastsam3d"):
        assert name in shown.split()
