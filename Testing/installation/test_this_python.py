"""The real machine, on packages that the test makes."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

import pytest

from MemorizingSAM3DLib.installation.condition import Condition, state_of
from MemorizingSAM3DLib.installation.requirements import Requirement
from MemorizingSAM3DLib.installation.this_python import ThisPython

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def a_package(tmp_path, monkeypatch):
    """A package as pip leaves it, with a library, on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    files = ("lungs/__init__.py", "lungs/lib/left.dll", "lungs/lib/notes.txt")
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    info = tmp_path / "lungs-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lungs\nVersion: 1.5\n", encoding="utf-8")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in files), encoding="utf-8")
    return tmp_path


def condition():
    return state_of(ThisPython(), Requirement("lungs", "1.2")).condition


def test_a_whole_package_is_ready_and_stays_unloaded(a_package):
    assert condition() is Condition.READY
    assert not ThisPython().is_loaded("lungs")


def test_a_package_that_nobody_installed_is_missing(a_package):
    assert state_of(ThisPython(), Requirement("kidneys", "1")).condition is Condition.MISSING


def test_a_lost_library_is_damage_and_a_lost_note_is_not(a_package):
    (a_package / "lungs/lib/notes.txt").unlink()
    assert condition() is Condition.READY

    (a_package / "lungs/lib/left.dll").unlink()
    assert condition() is Condition.DAMAGED
    assert "left.dll" in ThisPython().damage("lungs")


def test_a_folder_that_an_uninstallation_left_is_damage(a_package):
    (a_package / "lungs/__init__.py").unlink()
    for name in ("METADATA", "RECORD"):
        (a_package / "lungs-1.5.dist-info" / name).unlink()
    (a_package / "lungs-1.5.dist-info").rmdir()

    assert condition() is Condition.DAMAGED


def test_a_package_that_lists_no_files_counts_by_whether_it_can_be_found(a_package):
    (a_package / "lungs-1.5.dist-info" / "RECORD").unlink()
    assert condition() is Condition.READY

    (a_package / "lungs/__init__.py").unlink()
    assert condition() is Condition.DAMAGED


@pytest.mark.parametrize("content", ["", "Metadata-Version: 2.1\nName: lungs\n", "\x00\x00\x00"])
def test_metadata_without_a_version_is_damage(a_package, content):
    (a_package / "lungs-1.5.dist-info" / "METADATA").write_text(content, encoding="utf-8")

    assert condition() is Condition.DAMAGED


def test_an_import_that_fails_is_told_without_loading_anything_here(a_package, monkeypatch):
    (a_package / "lungs/__init__.py").write_text("raise OSError('[WinError 1114] DLL')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(a_package))

    assert "WinError 1114" in ThisPython().import_problem("lungs")
    assert not ThisPython().is_loaded("lungs")
    assert ThisPython().import_problem("json") is None


def test_an_index_that_answers_is_online_even_with_an_error(monkeypatch):
    def answering(request, timeout):
        raise urllib.error.HTTPError(request.full_url, 403, "Forbidden", Message(), None)

    monkeypatch.setattr(urllib.request, "urlopen", answering)
    assert ThisPython().is_online()


def test_no_answer_is_offline(monkeypatch):
    def silent(request, timeout):
        raise urllib.error.URLError("getaddrinfo failed")

    monkeypatch.setattr(urllib.request, "urlopen", silent)
    assert not ThisPython().is_online()


def test_an_unknown_certificate_is_an_answer_which_pip_may_know_better(monkeypatch):
    def strange(request, timeout):
        raise urllib.error.URLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")

    monkeypatch.setattr(urllib.request, "urlopen", strange)
    assert ThisPython().is_online()


def test_a_hospitals_own_index_is_asked_instead_of_pypi(monkeypatch):
    asked = []

    def silent(request, timeout):
        asked.append(request.full_url)
        raise urllib.error.URLError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", silent)
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.hospital.example/simple")
    ThisPython().is_online()

    assert asked == ["https://packages.hospital.example/simple"]


def test_the_disk_has_room_and_a_folder():
    assert ThisPython().folder.is_dir()
    assert ThisPython().free_bytes() > 0


def test_a_bare_python_can_plan_the_installation():
    """Isolated from site-packages, as a Slicer without any package of ours."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from MemorizingSAM3DLib.installation import installation, installation as pending, plan, this_python\n"
        "from Testing.installation.fake_world import FakeInstaller, FakeMachine\n"
        "real = this_python.ThisPython()\n"
        "print(sum(not state.is_ready for state in plan.examine(real)))\n"
        "print(len(plan.make_plan(real, FakeInstaller(FakeMachine())).steps))\n"
    )
    ended = subprocess.run(
        [sys._base_executable, "-I", "-S", "-c", script, str(ROOT)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["11", "11"]
