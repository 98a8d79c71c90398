"""docs/offline.md says what the module does and what is in this repository."""

from __future__ import annotations

import re
from pathlib import Path

from MemorizingSAM3DLib.installation.condition import SLICERS_OWN
from MemorizingSAM3DLib.installation.requirements import TORCH, required_packages

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "offline.md").read_text(encoding="utf-8")


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\((?!http)([^)]+)\)", PAGE)

    assert links
    for link in links:
        assert (ROOT / "docs" / link).exists(), link


def test_its_console_command_installs_what_slicer_lacks():
    command = PAGE.partition("slicer.util.pip_install(")[2].partition("])")[0]
    named = re.findall(r'"([\w-]+>=[\d.]+)"', command)

    assert set(named) == {str(item) for item in (*required_packages(), TORCH) if item.name not in SLICERS_OWN}


def test_its_commands_ask_for_the_pytorch_that_is_needed():
    assert set(re.findall(r"torch>=[\d.]+", PAGE)) == {str(TORCH)}


def test_it_quotes_messages_and_buttons_as_they_are():
    library = ROOT / "MemorizingSAM3DLib"
    sources = [
        *library.glob("installation/*.py"),
        *library.glob("ui/**/*.py"),
        library / "engine" / "runtime" / "cuda_check.py",
        *(ROOT / "Resources" / "UI").glob("*.ui"),
    ]
    said = " ".join(path.read_text(encoding="utf-8") for path in sources)
    table = PAGE.partition("## If it does not work")[2]
    quoted = [part.strip(" .:,") for text in re.findall(r'"([^"]+)"', table) for part in text.split("...")]
    buttons = ("Install...", "From a folder, without internet", "Check again", "Repair...", "Restart Slicer")

    assert len(quoted) > 8
    for text in (*quoted, *buttons):
        assert text in said, text
