from __future__ import annotations

import json

import pytest

from MemorizingSAM3DLib.learning.data.cases import Case
from studies.proposals import ProposedStructure, proposed_structures, write_proposals
from Testing.engine.phantoms import ct_of
from Testing.engine.session.test_locate_structure import BODY, COUNTS, LEFT, RIGHT, SPACING, _truth
from Testing.engine.small_retrievals import a_predictor, remember_in


@pytest.fixture
def a_case():
    """Two structures, of which the memory knows one."""
    volume, _ = ct_of(BODY, COUNTS, SPACING)
    left, right = (_truth(volume, shape).transpose(2, 1, 0) for shape in (LEFT, RIGHT))
    image = volume.array.transpose(2, 1, 0)
    labels = (left + 2 * right.astype("uint8")).astype("uint8")
    return Case("a", "balls", "CT", image, labels, (SPACING,) * 3, {1: "ball", 2: "unknown"})


@pytest.fixture
def a_knowing_predictor(tmp_path):
    volume, _ = ct_of(BODY, COUNTS, SPACING, levels=(-195, 276))
    predictor = a_predictor(tmp_path, middle=0.3)
    remember_in(predictor, volume, _truth(volume, LEFT), "Ball")
    return predictor


def test_only_structures_with_a_name_in_the_memory_are_looked_for(a_knowing_predictor, a_case):
    (row,) = proposed_structures(a_knowing_predictor, a_case, (1, 2))
    assert (row.dataset, row.case, row.structure) == ("balls", "a", "ball")
    assert row.found and row.inside and row.crops > 3 and row.seconds > 0
    assert row.proposed > 0.6 and row.clicked > 0.6


def test_what_is_not_recognised_counts_nothing(a_knowing_predictor, a_case):
    a_knowing_predictor.case_retrieval.calibration = _unconvinced(a_knowing_predictor.case_retrieval.calibration)
    (row,) = proposed_structures(a_knowing_predictor, a_case, (1,))
    assert (row.found, row.inside, row.proposed) == (False, False, 0.0) and row.clicked > 0


def _unconvinced(calibration):
    from dataclasses import replace

    return replace(calibration, middle=2.0)


def test_the_table_tells_shares_and_means_of_each_dataset(tmp_path):
    rows = [
        ProposedStructure("one", "a", "x", True, True, 0.8, 0.9, 100, 5.0),
        ProposedStructure("one", "b", "x", False, False, 0.0, 0.5, 10, 1.0),
        ProposedStructure("two", "c", "y", True, False, 0.1, 0.7, 90, 3.0),
    ]
    write_proposals(tmp_path, 7, "CPU", rows, 0)
    text = (tmp_path / "proposed.md").read_text(encoding="utf-8")
    assert "| one | 2 | 50% | 50% | 0.400 (0.000 to 0.800) | 0.700 | 3.0 |" in text
    assert "| two | 1 | 100% | 0% | 0.100 (0.100 to 0.100) | 0.700 | 3.0 |" in text
    assert "7 training cases" in text
    found = json.loads((tmp_path / "proposed.json").read_text(encoding="utf-8"))
    assert found["datasets"]["one"]["found"] == 0.5 and len(found["structures"]) == 3
