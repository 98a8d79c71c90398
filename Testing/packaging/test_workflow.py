"""The workflow for the public repository. It cannot run here; what it names and how it is written can be checked."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from Testing.packaging.extension_build import REPOSITORY


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


def commands(workflow, job):
    """What a job runs, one text a step."""
    return [step["run"].strip() for step in workflow["jobs"][job]["steps"] if "run" in step]


def readme_commands():
    """Those that set up and test on Windows: of the README's blocks for it, the one that makes the environment."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bat\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "-m venv" in block]
    return block.splitlines()


def make_commands(name):
    """The commands of a target of the Makefile, with .venv's programs as Windows has them."""
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    (body,) = re.findall(rf"^{name}: .*\n((?:\t.*\n)+)", text, re.MULTILINE)
    return [line.strip().removeprefix("@").replace("$(BIN)/", ".venv\\Scripts\\") for line in body.splitlines()]


def test_it_runs_on_every_push_and_pull_request(workflow):
    triggers = workflow[True]  # YAML 1.1 reads "on" as true

    assert triggers["push"] == {"branches": ["main"]}
    assert "pull_request" in triggers


def test_every_job_and_step_has_the_keys_that_a_runner_asks_for(workflow):
    needed = {"runs-on", "steps", "timeout-minutes"}
    for job in workflow["jobs"].values():
        assert needed <= set(job) <= needed | {"strategy", "env"}
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert set(step) <= {"uses", "run", "name", "with", "if"}
        assert job["steps"][0]["uses"].startswith("actions/checkout@")


def test_three_systems_and_the_oldest_and_newest_python_are_tried(workflow):
    unix, windows = workflow["jobs"]["unix"], workflow["jobs"]["windows"]
    systems = [*unix["strategy"]["matrix"]["os"], windows["runs-on"]]

    assert [system.partition("-")[0] for system in systems] == ["ubuntu", "macos", "windows"]
    for job in (unix, windows):
        assert job["strategy"]["matrix"]["python"] == ["3.10", "3.12"]
        (setup,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python@")]
        assert setup["with"]["python-version"] == "${{ matrix.python }}"


def test_linux_and_mac_run_the_makefiles_commands(workflow):
    assert commands(workflow, "unix")[-2:] == ["make lint", "make test"]


def test_windows_runs_the_readmes_commands_and_make_lints(workflow):
    run = commands(workflow, "windows")
    readme = [line for line in readme_commands() if "demo --output" not in line]

    # The README's first line names one Python, by Windows' launcher; here setup-python has chosen it.
    assert run[0] == "python -m venv .venv" and re.fullmatch(r"py -3\.\d+ -m venv \.venv", readme[0])
    assert [command for command in run[1:] if command not in make_commands("lint")] == readme[1:]
    assert [command for command in run if command in make_commands("lint")] == make_commands("lint")


def test_the_self_test_runs_in_a_real_slicer_with_what_the_extension_needs(workflow):
    install, check, test = commands(workflow, "slicer")[-3:]

    assert "download.slicer.org/download?os=linux&stability=release" in commands(workflow, "slicer")[1]
    assert {"torch", "-r", "Resources/requirements.txt"} <= set(shlex.split(install))
    assert "import torch" in check  # or a missing package would skip the test, and the job would succeed
    words = shlex.split(test)
    assert words[0] == "xvfb-run" and "--testing" in words
    assert words[words.index("--additional-module-path") + 1] == "$PWD/MemorizingSAM3D"
    compile(words[words.index("--python-code") + 1], "python-code", "exec")


def test_every_file_that_it_names_is_here(workflow):
    text = "\n".join(command for job in workflow["jobs"] for command in commands(workflow, job))

    for name in ("constraints.txt", "Resources/requirements.txt", "MemorizingSAM3D"):
        assert name in text and (REPOSITORY / name).exists()
