from __future__ import annotations

import pytest

from MemorizingSAM3DLib.learning.data.manifest import DataError
from MemorizingSAM3DLib.learning.evaluation.report import CASES, cases_csv
from studies.mais import TrainingPlan, Variant, compared, dice_of, markdown_of, variants_of
from Testing.learning.small_evaluations import a_result, a_run

WITHOUT = Variant("without", TrainingPlan("100%", None))
MEMORY = Variant("memory", TrainingPlan("100%", "both"), against="without")


def dice_in(folder, *results) -> dict:
    folder.mkdir()
    (folder / CASES).write_text(cases_csv(results), encoding="utf-8")
    return dice_of(folder)


@pytest.fixture
def dice(tmp_path):
    """Two structures of a dataset of two cases, and one of another dataset that is worth as much as those two."""

    def results(plus: float) -> list:
        return [
            a_result(dataset, case, a_run("model", "model", value, value + plus), a_run("ball", "model", 0.9, 0.9))
            for dataset, case, value in (("a", "1", 0.2), ("a", "2", 0.4), ("b", "1", 0.7))
        ]

    return {"without": dice_in(tmp_path / "w", *results(0.0)), "memory": dice_in(tmp_path / "m", *results(0.1))}


def test_gains_are_paired_and_datasets_weigh_alike(dice):
    found = compared([WITHOUT, MEMORY], dice, [1, 2])
    assert found["datasets"]["a"]["structures"] == 2 and found["datasets"]["mean"]["structures"] == 3
    assert found["datasets"]["mean"]["arms"]["without"]["mean"] == pytest.approx([0.5, 0.5])
    # Every structure gains as much: however cases are resampled, so does the mean.
    assert found["datasets"]["mean"]["arms"]["memory"]["gain"]["2"] == pytest.approx([0.1, 0.1, 0.1])
    assert "gain" not in found["datasets"]["a"]["arms"]["without"]
    text = markdown_of("A title", [WITHOUT, MEMORY], found, ["A remark."])
    assert "| memory | 0.300 | 0.400 | +0.000 (+0.000 to +0.000) | +0.100 (+0.100 to +0.100) |" in text


def test_structures_that_not_every_arm_has_are_left_out(dice):
    del dice["memory"][("a", "a/2", "1")]
    found = compared([WITHOUT, MEMORY], dice, [1])
    assert found["datasets"]["a"]["structures"] == 1
    assert found["datasets"]["a"]["arms"]["without"]["mean"][0] == pytest.approx(0.2)
    with pytest.raises(DataError, match="no structure in common"):
        compared([WITHOUT, MEMORY], {**dice, "memory": {}}, [1])


def test_an_evaluation_that_is_missing_is_told(tmp_path):
    with pytest.raises(DataError, match="holds no evaluation"):
        dice_of(tmp_path)


def test_arms_share_trainings_where_they_can():
    fractions = variants_of("fractions", ["1", "10%"], [], "100%")
    assert [variant.title for variant in fractions] == [
        "1 case, without",
        "1 case, memory",
        "10 %, without",
        "10 %, memory",
    ]
    assert fractions[3].against == "10 %, without"
    shared = variants_of("bank-sizes", [], [10, 80], "100%")
    assert {variant.training.folder for variant in shared} == {"cases-100pc-without", "cases-100pc-both-80"}
    assert [variant.attended for variant in shared[1:]] == [10, 80] and len({variant.folder for variant in shared}) == 3
    each = variants_of("bank-sizes", [], [10, 80], "100%", train_each=True)
    assert len({variant.training for variant in each}) == 3
    kinds = variants_of("kinds", [], [], "100%")
    assert kinds[0].training == shared[0].training
    assert [variant.training.kinds for variant in kinds] == [None, "sparse", "dense", "both"]
