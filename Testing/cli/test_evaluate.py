from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from MemorizingSAM3DLib.cli import app
from MemorizingSAM3DLib.engine.case_memory.memory import CaseMemory
from MemorizingSAM3DLib.engine.files import resource_path
from MemorizingSAM3DLib.engine.interaction_memory.conditioning import InteractionMemory, save_interaction_memory
from MemorizingSAM3DLib.engine.models.checkpoints import load, save_native
from MemorizingSAM3DLib.engine.networks.config import full_grid_config
from MemorizingSAM3DLib.engine.networks.memory_attention import InteractionConfig, MemoryAttention
from MemorizingSAM3DLib.engine.networks.sam3d import build_network
from Testing.cli.test_segment import a_model  # noqa: F401
from Testing.learning.small_evaluations import manifest_of, two_blocks
from Testing.learning.small_files import write_volume

FILES = {"results.json", "cases.csv", "table.md", "curves.png", "curves_by_dataset.png", "finished.jsonl"}


def run(*arguments: object):
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["evaluate", *map(str, arguments)])


@pytest.fixture
def two_cases(tmp_path) -> Path:
    """A case with real millimetres and one whose voxel size is nominal."""
    return manifest_of(tmp_path / "data", ["made/one", "acdc/two"])


@pytest.fixture
def arguments(two_cases, a_model, tmp_path) -> tuple[object, ...]:  # noqa: F811
    return ("--manifest", two_cases, "--model", a_model, "--clicks", 3, "--out", tmp_path / "out")


def results_of(folder: Path) -> dict[str, Any]:
    """results.json, which must follow its schema."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    schema = json.loads(resource_path("Schemas", "evaluation.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(results, schema, format_checker=jsonschema.FormatChecker())
    return results


def lines_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_two_cases_with_baselines_from_end_to_end(arguments, tmp_path):
    pytest.importorskip("slicer", reason="Grow from seeds needs slicer-core")
    out = tmp_path / "out"

    result = run(*arguments, "--baselines", "--baseline-loop", "own", "--labels-per-case", 1)

    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == FILES
    results = results_of(out)
    assert set(results["mean"]["dice"]) == {"1", "3"}
    assert set(results["baselines"]) == {"grow_from_seeds", "random_walker", "confidence_connected"}
    assert set(results["baselines_own_clicks"]) == set(results["baselines"])
    assert results["baselines"]["grow_from_seeds"]["mean"]["dice"]["3"] > 0.8
    assert results["datasets"]["made"]["labels"] == results["datasets"]["acdc"]["labels"] == 1
    assert results["datasets"]["made"]["nsd"] is not None and results["datasets"]["acdc"]["nsd"] is None
    assert results["failures"] == []
    lines = lines_of(out)
    assert len(lines) == 2 * 7 * 3
    by_contender = {
        name: [(line["case"], line["click"], line["positive"], line["r"], line["a"], line["s"]) for line in lines
               if line["contender"] == name and line["clicks_from"] == "model"]
        for name in ("model", *results["baselines"])
    }  # fmt: skip
    assert all(clicks == by_contender["model"] for clicks in by_contender.values())
    assert np.mean(
        [float(line["dice"]) for line in lines if line["contender"] == "model" and line["click"] == "3"]
    ) == (pytest.approx(results["mean"]["dice"]["3"], abs=1e-4))
    assert "Grow from seeds" in (out / "table.md").read_text(encoding="utf-8")


def test_the_model_alone_needs_no_slicer(arguments, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "slicer", None)
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    results = results_of(tmp_path / "out")
    assert "baselines" not in results
    assert results["mean"]["labels"] == 4
    assert results["options"]["minimum_ml"] == 1.0
    assert results["model"]["name"] == "small.safetensors"


def test_without_slicer_core_baselines_are_refused_before_anything_is_computed(arguments, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "slicer", None)
    result = run(*arguments, "--baselines")
    assert result.exit_code == 1
    assert "slicer-core" in result.output and "pip install" in result.output
    assert not list((tmp_path / "out").iterdir())


def test_the_same_command_again_computes_nothing_and_gives_the_same(arguments, tmp_path):
    run(*arguments)
    first = results_of(tmp_path / "out")
    (tmp_path / "out" / "results.json").unlink()
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    again = results_of(tmp_path / "out")
    assert again["environment"]["resumed"] == 4
    del first["environment"], again["environment"]
    assert again == first


def test_other_options_replace_what_was_there_and_say_so(arguments, tmp_path):
    run(*arguments)
    result = run(*arguments, "--minimum-ml", 19)
    assert "is replaced" in result.output
    results = results_of(tmp_path / "out")
    assert results["environment"]["resumed"] == 0
    assert results["mean"]["labels"] == 2  # the larger block of each case


def test_restart_computes_again(arguments, tmp_path):
    run(*arguments)
    run(*arguments, "--restart")
    assert results_of(tmp_path / "out")["environment"]["resumed"] == 0


def test_the_seed_and_the_model_decide_the_scores_and_nothing_else(arguments, tmp_path):
    run(*arguments, "--labels-per-case", 1, "--seed", 3)
    first = lines_of(tmp_path / "out")
    run(*arguments, "--labels-per-case", 1, "--seed", 3, "--restart")
    times = {"milliseconds"}
    assert [{k: v for k, v in line.items() if k not in times} for line in lines_of(tmp_path / "out")] == [
        {k: v for k, v in line.items() if k not in times} for line in first
    ]


def test_a_broken_case_is_recorded_and_the_others_are_evaluated(arguments, tmp_path):
    label = tmp_path / "data" / "made" / "one" / "label.nii.gz"
    write_volume(label, two_blocks().labels[:-1], (2.0, 2.0, 2.5))

    result = run(*arguments)

    assert result.exit_code == 0, result.output
    assert "made/one" in result.output and "different grids" in result.output
    results = results_of(tmp_path / "out")
    assert list(results["datasets"]) == ["acdc"]
    (failure,) = results["failures"]
    assert (failure["case"], failure["label"], failure["contender"]) == ("made/one", None, None)
    assert "different grids" in failure["message"]


def break_label(folder: Path, what: str) -> None:
    label = folder / "label.nii.gz"
    if what == "a missing file":
        label.unlink()
    elif what == "another grid":
        write_volume(label, two_blocks().labels, (2.0, 2.0, 3.0))
    else:
        write_volume(label, np.zeros_like(two_blocks().labels), (2.0, 2.0, 2.5))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a missing file", "there is no file"),
        ("another grid", "different grids"),
        ("no voxel", "no labelled voxel"),
    ],
)
def test_when_no_case_can_be_evaluated_it_fails_and_says_why(arguments, tmp_path, what, words):
    for name in ("made/one", "acdc/two"):
        break_label(tmp_path / "data" / name, what)
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.output
    assert not (tmp_path / "out" / "results.json").exists()


def test_workers_give_the_same_scores(arguments, tmp_path):
    run(*arguments)
    alone = lines_of(tmp_path / "out")
    result = run(*arguments, "--workers", 2, "--restart")
    assert result.exit_code == 0, result.output
    assert results_of(tmp_path / "out")["environment"]["workers"] == 2
    together = lines_of(tmp_path / "out")
    assert [float(line["dice"]) for line in together] == pytest.approx(
        [float(line["dice"]) for line in alone], abs=0.02
    )
    assert [line["case"] for line in together] == [line["case"] for line in alone]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--split", "train"), 1, "--split"),
        (("--datasets", "made,nowhere"), 1, "no dataset nowhere"),
        (("--minimum-ml", 5000), 1, "--minimum-ml"),
        (("--baselines", "--baseline-loop", "some"), 2, "same, own"),
        (("--baseline-loop", "own"), 2, "needs --baselines"),
        (("--clicks", 0), 2, "--clicks"),
        (("--start", "circle"), 2, "flat-box"),
        (("--start", "box"), 1, "points and scribbles alone"),
        (("--protocol", "cvpr24"), 2, "cvpr25"),
        (("--protocol", "cvpr25", "--start", "lasso"), 2, "point or box"),
        (("--never-trained", "made,nowhere"), 1, "--never-trained"),
        (("--device", "cuda:99"), 1, "CPU"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments, monkeypatch, options, code, words):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = run(*arguments, *options)
    assert result.exit_code == code, result.output
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_folder_that_cannot_be_made_is_said(arguments, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = run(*arguments, "--out", tmp_path / "file" / "below")
    assert result.exit_code == 1
    assert "cannot be made" in result.output


def test_a_full_disk_stops_it_and_the_same_command_goes_on(arguments, tmp_path, monkeypatch):
    from MemorizingSAM3DLib.learning.evaluation.results import ResumeLog

    sound, written = ResumeLog.add, []

    def add(self, key, result):
        if len(written) == 2:
            from MemorizingSAM3DLib.engine.errors import OutputError

            raise OutputError(f"{self.path} cannot be used (No space left on device).", "Check the free space.")
        written.append(result)
        sound(self, key, result)

    with monkeypatch.context() as patch:
        patch.setattr(ResumeLog, "add", add)
        result = run(*arguments)
    assert result.exit_code == 1
    assert "No space left" in result.output
    assert run(*arguments).exit_code == 0
    assert results_of(tmp_path / "out")["environment"]["resumed"] == 2


@pytest.fixture
def a_memory(a_model, tmp_path) -> Path:  # noqa: F811
    """An interaction memory that changes what it is used by, and brings the model's own decoder."""
    network = load(a_model).network
    config = InteractionConfig(network.config.embedding_channels, network.config.grid, capacity=4)
    torch.manual_seed(3)
    attention = MemoryAttention(config)
    for layer in (attention.mlp.lin2, attention.image_to_mask.out_proj, attention.image_to_click.out_proj):
        torch.nn.init.normal_(layer.weight, std=0.5)
    prompts, decoder = network.prompt_encoder.state_dict(), network.mask_decoder.state_dict()
    memory = InteractionMemory(attention, prompts, decoder)
    save_interaction_memory(tmp_path / "memory.safetensors", memory, network, "float32")
    return tmp_path / "memory.safetensors"


@pytest.fixture
def a_model_with_boxes(tmp_path) -> Path:
    """Of version 5, with random weights; its record names one of the two datasets."""
    torch.manual_seed(5)
    config = full_grid_config(
        image_size=32, width=24, heads=2, depth=2, attention_from=1, embedding_channels=24, decoder_heads=2,
        decoder_mlp=32, stem_channels=(8, 8, 8), upscale_channels=(8, 8), refine_blocks=(1, 1), token_blocks=1,
    )  # fmt: skip
    path = tmp_path / "boxes.safetensors"
    save_native(build_network(config), path, {"steps": 0, "datasets": ["made"]})
    return path


def test_a_box_and_points_after_it_are_scored_as_prompts(arguments, a_model_with_boxes, tmp_path):
    result = run(*arguments, "--model", a_model_with_boxes, "--start", "box", "--clicks", 6, "--labels-per-case", 1)
    assert result.exit_code == 0, result.output
    results = results_of(tmp_path / "out")
    assert list(results["mean"]["dice"]) == ["1", "3", "5", "6"]
    assert results["options"]["start"] == "box"
    assert [line["kind"] for line in lines_of(tmp_path / "out")][:2] == ["box", "point"]
    assert {line["modality"] for line in lines_of(tmp_path / "out")} == {"CT"}


@pytest.mark.parametrize(("start", "prompts"), [("box", 6), ("point", 5)])
def test_the_challenges_protocol_has_five_points_and_figures_of_its_own(
    arguments, a_model_with_boxes, tmp_path, start, prompts
):
    plain = [word for word in arguments if word not in ("--clicks", 3)]
    result = run(*plain, "--model", a_model_with_boxes, "--protocol", "cvpr25", "--start", start)
    assert result.exit_code == 0, result.output
    results = results_of(tmp_path / "out")
    assert results["options"]["clicks"] == prompts
    assert results["challenge"]["clicks"] == 5
    assert set(results["challenge"]["datasets"]) == {"made", "acdc"} and set(results["challenge"]["modalities"]) == {
        "CT"
    }
    assert results["challenge"]["datasets"]["acdc"]["nsd_auc"] is None
    assert "DSC_AUC" in result.output and "DSC_AUC" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_what_the_model_was_never_trained_on_is_read_from_its_record_or_told(arguments, a_model_with_boxes, tmp_path):
    with_record = (*arguments, "--model", a_model_with_boxes, "--labels-per-case", 1)
    result = run(*with_record)
    assert "never trained on" in result.output
    results = results_of(tmp_path / "out")
    assert results["options"]["never_trained"] == ["acdc"]
    assert results["never_trained"]["dice"] == results["datasets"]["acdc"]["dice"]

    run(*with_record, "--never-trained", "made,acdc")
    told = results_of(tmp_path / "out")
    assert told["environment"]["resumed"] == 2  # nothing is computed again
    assert told["never_trained"]["dice"] == told["mean"]["dice"]


def test_of_a_model_without_a_record_nothing_is_known_of_its_training(arguments, tmp_path):
    result = run(*arguments, "--labels-per-case", 1)
    results = results_of(tmp_path / "out")
    assert results["options"]["never_trained"] is None and results["never_trained"] is None
    assert "never trained on" not in result.output
    assert "lost > 0.01" in result.output and "prompts to 0.80 (never)" in result.output


def test_another_first_prompt_or_protocol_replaces_the_results(arguments):
    run(*arguments, "--labels-per-case", 1)
    assert "is replaced" in run(*arguments, "--labels-per-case", 1, "--start", "scribble").output
    assert "is replaced" in run(*arguments, "--labels-per-case", 1, "--protocol", "cvpr25").output


def test_an_interaction_memory_is_heard_over_many_clicks_or_its_decoder_alone(arguments, a_memory, tmp_path):
    long = (*arguments, "--clicks", 21, "--cases", 1, "--datasets", "made", "--labels-per-case", 1)
    dice = {}
    for name, chosen in {
        "heard": ("--interaction-memory", a_memory, "--bank-size", 3),
        "unheard": ("--interaction-memory", a_memory, "--memory-off"),
        "off": ("--interaction-memory", "off"),
    }.items():
        result = run(*long, *chosen, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        results = results_of(tmp_path / name)
        assert set(results["mean"]["dice"]) == {"1", "3", "5", "10", "20"}
        dice[name] = results["mean"]["curve"]["dice"]["mean"]
        about = results["model"]["interaction_memory"]
        told = {"heard": (True, 3), "unheard": (False, 4), "off": None}[name]
        assert told == (about and (about["heard"], about["bank_size"]))
    assert dice["off"] == pytest.approx(dice["unheard"], abs=0.002)  # the decoder that came with it is the model's own
    assert dice["heard"][0] == dice["off"][0] and dice["heard"] != dice["off"]


def test_another_interaction_memory_replaces_the_results(arguments, a_memory, tmp_path):
    run(*arguments, "--interaction-memory", a_memory)
    assert "is replaced" not in run(*arguments, "--interaction-memory", a_memory).output
    assert "is replaced" in run(*arguments, "--interaction-memory", a_memory, "--bank-size", 2).output


def test_interaction_memories_that_are_not_there_are_told(arguments, tmp_path):
    for chosen, code, words in (
        (("--interaction-memory", tmp_path / "none.safetensors"), 1, "cannot be read"),
        (("--interaction-memory", "on"), 1, "No interaction memory comes with this model"),
        (("--memory-off",), 2, "--memory-off"),
    ):
        result = run(*arguments, *chosen)
        assert result.exit_code == code and words in result.output, result.output


@pytest.fixture
def remembered(arguments, a_model, tmp_path) -> Path:  # noqa: F811
    """A case memory of the same two cases, with keys and values of block 1."""
    result = CliRunner(env={"COLUMNS": "300"}).invoke(
        app,
        ["memory", "build", str(tmp_path / "memory"), "--manifest", str(arguments[1]), "--model", str(a_model),
         "--split", "val", "--attention-layers", "1"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return tmp_path / "memory"


def test_remembered_cases_are_heard_and_told_of(arguments, remembered, tmp_path):
    least = (*arguments, "--clicks", 1, "--datasets", "made", "--labels-per-case", 1)
    attention = ("--attention-layers", "1", "--attention-only", "--local-ratio", 0)
    about, dice = {}, {}
    for name, chosen in {
        "without": (),
        "known": ("--case-memory", remembered, "--structure-known", "--neighbours", 2),
        "attended": ("--case-memory", remembered, *attention),
    }.items():
        result = run(*least, *chosen, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        results = results_of(tmp_path / name)
        about[name], dice[name] = results["model"]["case_memory"], results["mean"]["dice"]["1"]
    assert about["without"] is None
    assert about["known"]["cases"] == 4 and about["known"]["attention"] is None
    assert about["known"]["recall"] == {"names": "known", "neighbours": 2}
    assert about["attended"]["recall"] is None
    assert about["attended"]["attention"] == {"layers": [1], "local_ratio": 0.0, "fusion": "ratio", "neighbours": 3}
    assert len(set(dice.values())) == 3


def test_another_case_memory_replaces_the_results(arguments, remembered):
    least = (*arguments, "--clicks", 1, "--datasets", "made", "--case-memory", remembered)
    run(*least)
    assert "is replaced" not in run(*least).output
    assert "is replaced" in run(*least, "--structure-known").output
    memory = CaseMemory.open(remembered)
    memory.remove(memory.ids[0])
    assert "is replaced" in run(*least, "--structure-known").output


def test_options_of_a_case_memory_that_make_no_sense_are_told(arguments, remembered, tmp_path):
    for chosen, code, words in (
        (("--structure-known",), 2, "--case-memory"),
        (("--case-memory", remembered, "--structure-known", "--structure-absent"), 2, "known or absent"),
        (("--case-memory", remembered, "--attention-only"), 2, "--attention-layers"),
        (("--case-memory", remembered, "--attention-layers", "one"), 2, "--attention-layers"),
        (("--case-memory", remembered, "--attention-layers", "5"), 1, "block 5"),
        (("--case-memory", tmp_path / "nowhere"), 1, "no case memory"),
    ):
        result = run(*arguments, *chosen)
        assert result.exit_code == code and words in result.output, result.output
