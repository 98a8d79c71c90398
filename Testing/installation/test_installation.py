"""Every way in which an installation can end."""

from __future__ import annotations

from pathlib import Path

import pytest

from MemorizingSAM3DLib.installation import installation
from MemorizingSAM3DLib.installation.condition import examine
from MemorizingSAM3DLib.installation.installation import Installation, Result
from MemorizingSAM3DLib.installation.plan import Choice, make_plan
from Testing.installation.fake_world import EVERYTHING, failing, make_complete_folder


@pytest.fixture
def run(machine, installer):
    """Makes a plan and carries it out; after `cancel_after` steps the user presses Stop."""

    def run(choice=None, cancel_after=None):
        reported = []
        plan = make_plan(machine, installer, choice)
        outcome = Installation(machine, installer, plan).run(
            lambda number, step: reported.append((number, step.name)), lambda: len(reported) == cancel_after
        )
        assert [number for number, _ in reported] == list(range(len(reported)))
        return outcome

    return run


def is_complete(machine):
    return all(state.is_ready for state in examine(machine))


def test_everything_is_installed_and_usable_at_once(run, machine, installer):
    outcome = run()

    assert outcome.result is Result.DONE
    assert outcome.installed == ("safetensors", "jsonschema", "pooch", "rich", "typer", "nibabel", "PyTorch")
    assert is_complete(machine)


def test_nothing_to_do_is_done(run, machine, installer):
    machine.versions = dict(EVERYTHING)
    machine.online = False

    assert run().result is Result.DONE
    assert installer.done == []


def test_nothing_is_begun_while_something_stands_in_the_way(run, machine, installer):
    installer.has_torch_extension = False
    outcome = run()

    assert outcome.result is Result.FAILED
    assert "Extensions Manager" in outcome.obstacle.remedy
    assert installer.done == []


def test_without_a_network_nothing_is_begun(run, machine, installer):
    machine.online = False
    outcome = run()

    assert outcome.result is Result.FAILED
    assert "cannot be reached" in outcome.obstacle.problem
    assert "folder of wheels" in outcome.obstacle.remedy
    assert installer.done == []


def test_a_folder_of_wheels_needs_no_network(run, machine, installer, tmp_path):
    machine.online = False
    outcome = run(Choice(folder=make_complete_folder(tmp_path / "wheels")))

    assert outcome.result is Result.DONE
    assert installer.done[-1] == "torch from wheels"
    assert is_complete(machine)


def test_a_folder_that_lacks_a_wheel_changes_nothing(run, machine, installer, tmp_path):
    folder = make_complete_folder(tmp_path)
    (folder / "filelock-4.2.11-py3-none-any.whl").unlink()
    outcome = run(Choice(folder=folder))

    assert outcome.result is Result.FAILED
    assert "filelock" in outcome.obstacle.problem
    assert installer.done == []


def test_declining_pytorch_keeps_what_is_there_and_says_so(run, machine, installer):
    installer.declines = True
    outcome = run()

    assert outcome.result is Result.DECLINED
    assert outcome.installed == ("safetensors", "jsonschema", "pooch", "rich", "typer", "nibabel")
    assert machine.version("torch") is None


def test_stopping_takes_effect_after_the_current_package(run, machine, installer):
    outcome = run(cancel_after=2)

    assert outcome.result is Result.CANCELLED
    assert installer.done == ["safetensors", "jsonschema"]


def test_the_next_try_goes_on_where_the_last_was_stopped(run, machine, installer):
    run(cancel_after=2)
    installer.done.clear()

    assert run().result is Result.DONE
    assert installer.done == ["pooch", "rich", "typer", "nibabel", "torch"]


def test_pytorch_for_the_cpu_when_the_user_wants_that(run, installer):
    run(Choice(cpu_only=True))

    assert installer.done[-1] == "torch for the CPU"


def test_a_half_installed_pytorch_is_removed_and_installed_anew(run, machine, installer):
    machine.versions = {**EVERYTHING, "torch": "2.13.0"}
    machine.damages["torch"] = "2 of its files are missing"

    assert run().result is Result.DONE
    assert installer.done == ["remove torch", "torch"]
    assert is_complete(machine)


def test_a_damaged_package_in_use_waits_for_a_restart(run, machine, installer):
    machine.versions = {**EVERYTHING, "torch": "2.9.1"}
    machine.loaded.add("torch")
    outcome = run()

    assert outcome.result is Result.RESTART
    assert outcome.goes_on
    assert installer.done == []

    machine.loaded.clear()
    assert run().result is Result.DONE


def test_a_package_whose_old_self_is_still_loaded_needs_a_restart_at_the_end(run, machine, installer):
    machine.loaded.add("rich")
    outcome = run()

    assert outcome.result is Result.RESTART
    assert not outcome.goes_on
    assert is_complete(machine)


def test_an_installation_that_leaves_holes_is_not_called_done(run, machine, installer):
    installer.breaks.add("torch")
    outcome = run()

    assert outcome.result is Result.FAILED
    assert "not whole" in outcome.obstacle.problem
    assert "virus scanner" in outcome.obstacle.remedy
    assert "torch-*.dist-info" in outcome.obstacle.remedy


def test_an_installer_that_does_nothing_without_a_word_has_failed(run, machine, installer, monkeypatch):
    monkeypatch.setattr(installer, "install", lambda requirements, folder: None)
    outcome = run()

    assert outcome.result is Result.FAILED
    assert outcome.obstacle.problem.startswith("safetensors was not installed")


@pytest.mark.parametrize(
    "words, problem, remedy",
    [
        ("OSError: [Errno 28] No space left on device", "folder for temporary files", "Make room"),
        ("[WinError 206] The filename or extension is too long", "longer than Windows allows", "LongPathsEnabled"),
        ("[Errno 13] Permission denied: '/opt/Slicer'", "could not be written", "who"),
        ("Failed to establish a new connection: timed out", "cannot be reached", "proxy"),
        ("ERROR: No matching distribution found for torch>=2.10", "no PyTorch 2.10 or later", "stable Slicer"),
        ("pip ended with 1", "was not installed: pip ended with 1", "Python console"),
    ],
)
def test_what_pip_said_becomes_problem_and_remedy(run, installer, words, problem, remedy):
    installer.before = failing("torch", words)
    outcome = run()

    assert outcome.result is Result.FAILED
    assert problem in outcome.obstacle.problem
    assert remedy in outcome.obstacle.remedy
    assert outcome.installed == ("safetensors", "jsonschema", "pooch", "rich", "typer", "nibabel")


def test_a_file_that_windows_holds_leads_to_a_restart(run, machine, installer):
    installer.before = failing("torch", "[WinError 5] Access is denied: 'torch/_C.cp312-win_amd64.pyd'")
    outcome = run()

    assert outcome.result is Result.RESTART
    assert outcome.goes_on
    assert "in use" in outcome.obstacle.problem


def test_a_failure_without_words_is_explained_by_the_disk(run, machine, installer):
    def filling(name):
        if name == "torch":
            machine.free = 5e6
            failing("torch", "")(name)

    installer.before = filling
    assert "5.0 MB left" in run().obstacle.problem


def test_a_failure_without_words_is_explained_by_the_network(run, machine, installer):
    def unplugging(name):
        if name == "torch":
            machine.online = False
            failing("torch", "Command returned non-zero exit status 1")(name)

    installer.before = unplugging
    assert "cannot be reached" in run().obstacle.problem


def test_what_failed_can_be_tried_again(run, machine, installer):
    installer.before = failing("pooch", "timed out")
    assert run().result is Result.FAILED

    installer.before = lambda name: None
    assert run().result is Result.DONE
    assert is_complete(machine)


def test_what_was_agreed_to_outlives_a_restart(store):
    choice = Choice(Path("D:/wheels"), True, ("faiss-gpu",), ("torch",))
    installation.keep(store, choice)

    assert installation.take(store) == choice


def test_it_is_gone_on_with_once_only(store):
    installation.keep(store, Choice())

    assert installation.take(store) == Choice()
    assert installation.take(store) is None


def test_after_a_week_it_is_asked_anew(store, monkeypatch):
    installation.keep(store, Choice())
    later = installation.time.time() + 8 * 24 * 3600
    monkeypatch.setattr(installation.time, "time", lambda: later)

    assert installation.take(store) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"choice": {}}', '{"choice": {"folder": 3}, "time": "x"}', "null"])
def test_what_another_version_wrote_is_left_out(store, text):
    store.write(text)

    assert installation.take(store) is None
    assert store.read() == ""
