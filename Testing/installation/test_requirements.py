from __future__ import annotations

import re
from pathlib import Path

import pytest

from MemorizingSAM3DLib.installation.requirements import (
    TORCH,
    Requirement,
    parse_requirements,
    release,
    required_packages,
)

ROOT = Path(__file__).resolve().parents[2]


def test_the_list_is_that_of_the_package_without_pytorch():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL).group(1)
    declared = set(re.findall(r'"([^"]+)"', dependencies))

    assert {str(item) for item in required_packages()} | {str(TORCH)} == declared


def test_nothing_may_be_pinned():
    with pytest.raises(ValueError, match="'rich==13.0' is not of the form"):
        parse_requirements("# fine\n\nnumpy>=2  # fine too\nrich==13.0\n")


@pytest.mark.parametrize("version", ["2.10", "2.10.0", "2.10.1", "2.11.0.dev2026", "3", "2.10.0+cu130", "10.0"])
def test_a_version_that_is_new_enough(version):
    assert Requirement("torch", "2.10").is_met_by(version)


@pytest.mark.parametrize("version", ["2.9.1", "2.1", "1.13.1+cpu", "2", "not a version"])
def test_a_version_that_is_too_old_or_none(version):
    assert not Requirement("torch", "2.10").is_met_by(version)


def test_trailing_zeros_make_no_difference():
    assert release("2.0") == release("2") == release("2.0.0+local") == (2,)
