from __future__ import annotations

import csv
import json

import pytest
import torch

from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.engine.small_networks import SMALL_NATIVE
from Testing.learning.small_files import a_manifest
from Testing.studies.running import run

LEAST = ("--clicks", "1,2", "--sizes", "1,2", "--minimum-ml", 0.1, "--labels-per-case", 1, "--attention-layers", "1",
         "--neighbours", "1", "--ratios", "0.5", "--repeats", 1, "--device", "cpu")  # fmt: skip


@pytest.fixture
def cases(tmp_path):
    torch.manual_seed(1)
    save_native(build_network(SMALL_NATIVE), tmp_path / "small.safetensors", {"steps": 9}, "float32")
    common = ("cases", "--manifest", a_manifest(tmp_path), "--model", tmp_path / "small.safetensors")
    return lambda *arguments, out="out": run(*common, *LEAST, "--out", tmp_path / out, *arguments)


def test_growth_is_told_by_how_many_cases_are_remembered_and_done_once(tmp_path, cases):
    result = cases("--table", "growth", "--structure-known")
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    found = json.loads((out / "growth.json").read_text(encoding="utf-8"))
    assert list(found["datasets"]["one"]["arms"]) == [
        "without memory", "n = 1", "n = 2", "n = 1, name known", "n = 2, name known"
    ]  # fmt: skip
    assert found["clicks"] == [1] and len(found["datasets"]["one"]["arms"]["n = 1"]["gain"]["1"]) == 3
    assert (out / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert "| n = 2 |" in (out / "growth.md").read_text(encoding="utf-8")
    with (out / "growth.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["arm"] for line in lines if line["dataset"] == "one"] == list(found["datasets"]["one"]["arms"])
    one, two = (CaseMemory.open(out / "memories" / f"n-{n}") for n in (1, 2))
    assert (len(one), len(two)) == (2, 4) and set(one.ids) < set(two.ids)
    assert {case.facts.source for case in two.cases} == {"training"}

    again = cases("--table", "growth", "--structure-known")
    assert again.exit_code == 0 and "Evaluating" not in again.output
    other = cases("--table", "growth", "--seed", 3)
    assert other.exit_code == 1 and "made with other options" in other.output


def test_absent_structures_and_attention_share_memories_and_the_evaluation_without(tmp_path, cases):
    result = cases("--table", "absent", "--table", "attention")
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    folders = {path.name for path in (out / "evaluations").iterdir()}
    assert folders == {"without", "n-2-names-absent", "n-2-block-1-k-1-ratio-0.3", "n-2-block-1-k-3-ratio-0.5",
                       "n-2-block-1-k-3-ratio-0.3", "n-1-block-1-k-3-ratio-0.3"}  # fmt: skip
    about = json.loads((out / "evaluations" / "n-2-names-absent" / "results.json").read_text(encoding="utf-8"))
    assert about["model"]["case_memory"]["recall"]["names"] == "absent"
    found = json.loads((out / "attention.json").read_text(encoding="utf-8"))
    assert list(found["datasets"]["one"]["arms"]) == [
        "without memory", "k = 1", "local ratio 0.5", "block 1", "n = 1", "n = 2"
    ]  # fmt: skip
    assert found["clicks"] == [1, 2]
    for name in ("absent", "attention"):
        for suffix in (".md", ".csv", ".png"):
            assert (out / f"{name}{suffix}").stat().st_size > 0


def test_a_model_as_it_is_and_fine_tuned_are_compared_with_one_memory_of_both(tmp_path, cases):
    result = cases("--table", "tuned", "--tuning-steps", 1)
    assert result.exit_code == 0, result.output
    out = tmp_path / "out"
    variants = json.loads((out / "tuned.json").read_text(encoding="utf-8"))["datasets"]["one"]["arms"]
    kinds = ("", ", attention to cases", ", asked where it was")
    assert list(variants) == [model + kind for model in ("as it is", "fine-tuned") for kind in kinds]
    assert ["gain" in variant for variant in variants.values()] == [False, True, True] * 2
    place = out / "tuned" / "one"
    assert load(place / "training" / "model.safetensors").training["encoder_frozen"] is True
    results = [json.loads(path.read_text()) for path in sorted(place.glob("*/evaluations/*/results.json"))]
    memories = {about["model"]["case_memory"]["digest"] for about in results if about["model"]["case_memory"]}
    assert len(results) == 6 and len(memories) == 1
    assert len({about["model"]["sha256"] for about in results}) == 2
    assert "Evaluating" not in cases("--table", "tuned", "--tuning-steps", 1).output


def test_overhead_is_measured_once(tmp_path, cases):
    result = cases("--table", "overhead")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "overhead.json").read_text(encoding="utf-8"))
    assert found["plain_ms"] > 0 and found["attending_ms"] > 0 and set(found["recall_ms"]) == {"10", "100"}
    assert "| ask 100 remembered cases |" in (tmp_path / "out" / "overhead.md").read_text(encoding="utf-8")
    assert "Model:" not in cases("--table", "overhead").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--table", "some"), "growth, absent"), (("--ratios", "0,2"), "--ratios"), (("--sizes", "0"), "--sizes"),
     (("--attention-layers", "x"), "--attention-layers"), (("--neighbours", "0"), "--neighbours")],
)  # fmt: skip
def test_wrong_usage_is_told(cases, arguments, words):
    result = cases(*arguments)
    assert result.exit_code == 2 and words in result.output


def test_a_block_without_attention_is_told(cases):
    result = cases("--table", "attention", "--attention-layers", "0")
    assert result.exit_code == 1 and "Block 0" in result.output


def test_structures_that_are_remembered_are_proposed_and_their_dice_is_told_once(tmp_path, cases):
    result = cases("--table", "proposed")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "proposed.json").read_text(encoding="utf-8"))
    about = found["datasets"]["one"]
    assert about["structures"] == len(found["structures"]) >= 1
    assert 0 <= about["dice"] <= 1 and about["interval"][0] <= about["dice"] <= about["interval"][1]
    assert all(row["crops"] > 0 for row in found["structures"])
    assert "| one |" in (tmp_path / "out" / "proposed.md").read_text(encoding="utf-8")
    assert "Proposing" not in cases("--table", "proposed").output
