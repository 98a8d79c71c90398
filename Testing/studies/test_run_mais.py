from __future__ import annotations

import json

import pytest
import torch

from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from studies import interaction_cost
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.learning.small_files import a_manifest
from Testing.studies.running import run

LEAST = ("--clicks", "1,12", "--steps", 1, "--window", 1, "--minimum-ml", 0.1, "--labels-per-case", 1,
         "--training-workers", 0, "--threads", 1, "--device", "cpu")  # fmt: skip


@pytest.fixture
def mais(tmp_path):
    torch.manual_seed(1)
    save_native(build_network(SMALL_NATIVE), tmp_path / "start.safetensors", {"steps": 9}, "float32")
    common = ("mais", "--manifest", a_manifest(tmp_path), "--from", tmp_path / "start.safetensors")
    return lambda *arguments, out="out": run(*common, *LEAST, "--out", tmp_path / out, *arguments)


def test_each_table_is_written_and_what_is_finished_is_not_done_again(tmp_path, mais):
    result = mais("--table", "fractions", "--table", "bank-sizes", "--fractions", "100%", "--bank-sizes", "1,60")
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    trainings = {path.name for path in (out / "trainings").iterdir()}
    assert trainings == {"cases-100pc-without", "cases-100pc-both-60"}  # both tables' arms
    for table in ("fractions", "bank-sizes"):
        assert (out / f"{table}.png").read_bytes().startswith(b"\x89PNG")
        found = json.loads((out / f"{table}.json").read_text(encoding="utf-8"))
        assert found["clicks"] == [1, 12] and set(found["datasets"]) == {"one", "mean"}
    variants = found["datasets"]["one"]["arms"]
    assert set(variants) == {"without", "N = 1", "N = 60"} and len(variants["without"]["mean"]) == 12
    assert set(variants["N = 1"]["gain"]) == {"1", "12"}
    text = (out / "fractions.md").read_text(encoding="utf-8")
    assert "| 100 %, without |" in text and "| 100 %, memory |" in text and "gain at 12" in text

    again = mais("--table", "bank-sizes", "--bank-sizes", "1,60")
    assert again.exit_code == 0 and "Training" not in again.output and "Evaluating" not in again.output
    other = mais("--table", "bank-sizes", "--bank-sizes", "1,60", "--steps", 2)
    assert other.exit_code == 1 and "made with other options" in other.output


def test_both_arms_can_be_given_the_newest_click_alone(tmp_path, mais):
    result = mais("--table", "fractions", "--fractions", "100%", "--newest-click")
    assert result.exit_code == 0, result.output
    assert "Both are trained from start-newest-click.safetensors" in (tmp_path / "out" / "fractions.md").read_text()
    for variant in ("without", "both-60"):
        facts = json.loads((tmp_path / "out" / "trainings" / f"cases-100pc-{variant}" / "run.json").read_text())
        assert facts["from"]["file"] == "start-newest-click.safetensors"
    trained = load(tmp_path / "out" / "trainings" / "cases-100pc-without" / "model.safetensors")
    assert not trained.network.uses_click_history


def test_the_network_alone_is_trained_and_evaluated_where_that_is_asked_for(tmp_path, mais):
    result = mais(
        "--table",
        "fractions",
        "--fractions",
        "100%",
        "--newest-click",
        "--without-session",
        "--updates-per-batch",
        2,
        "--window",
        1,
    )
    assert result.exit_code == 0, result.output
    assert "by the network alone" in (tmp_path / "out" / "fractions.md").read_text(encoding="utf-8")
    for variant in ("without", "both-60-heard-60"):
        results = json.loads((tmp_path / "out" / "evaluations" / f"cases-100pc-{variant}" / "results.json").read_text())
        assert results["options"]["bare"] is True
    for variant in ("without", "both-60"):
        facts = json.loads((tmp_path / "out" / "trainings" / f"cases-100pc-{variant}" / "run.json").read_text())
        assert facts["stay"] == 2


def test_time_that_is_up_ends_the_command_and_the_same_one_goes_on(tmp_path, mais):
    arguments = ("--table", "fractions", "--fractions", "1", "--steps", 2)
    result = mais(*arguments, "--minutes", 0)
    assert result.exit_code == 0 and "Time is up" in result.output
    assert not (tmp_path / "out" / "fractions.md").exists()
    result = mais(*arguments)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "fractions.json").read_text(encoding="utf-8"))
    assert set(found["datasets"]["mean"]["arms"]) == {"1 case, without", "1 case, memory"}


def test_costs_are_measured_once(tmp_path, mais, monkeypatch):
    def here(part, memory, model, device, threads, clicks, bank_size):
        return interaction_cost.measure(part, memory, model, device, threads, clicks, bank_size)

    monkeypatch.setattr(interaction_cost, "cost_of", here)  # each in a process of its own would take half a minute
    result = mais("--table", "cost", "--clicks", "3")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "cost.json").read_text(encoding="utf-8"))
    assert [(one["about"]["part"], one["about"]["memory"]) for one in found] == [
        ("train", False), ("train", True), ("click", False), ("click", True)
    ]  # fmt: skip
    assert all(one["found"]["seconds"] > 0 for one in found)
    assert "| clicks, with memory |" in (tmp_path / "out" / "cost.md").read_text(encoding="utf-8")
    assert "cost: train" not in mais("--table", "cost", "--clicks", "3").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--table", "some"), "fractions, bank-sizes"), (("--clicks", "1,x"), "--clicks"), (("--clicks", "151"), "150"),
     (("--bank-sizes", "0"), "--bank-sizes")],
)  # fmt: skip
def test_wrong_usage_is_told(mais, arguments, words):
    result = mais(*arguments)
    assert result.exit_code == 2 and words in result.output
