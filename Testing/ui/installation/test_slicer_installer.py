"""What is asked of Slicer and of the PyTorch extension, with their stand-ins."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import CalledProcessError
from types import ModuleType

import pytest

from MemorizingSAM3DLib.installation.machine import InstallError
from Testing.installation.fake_world import FakeMachine


class FakeTorchLogic:
    """The PyTorch extension's logic, as far as it is used."""

    calls: list[dict[str, object]] = []
    answer: object = ModuleType("torch")

    def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None,
                     torchvisionVersionRequirement=None):  # fmt: skip
        FakeTorchLogic.calls.append(
            {"ask": askConfirmation, "backend": forceComputationBackend, "version": torchVersionRequirement}
        )
        if isinstance(FakeTorchLogic.answer, Exception):
            raise FakeTorchLogic.answer
        return FakeTorchLogic.answer


@pytest.fixture
def an_installer(slicer_application):
    from MemorizingSAM3DLib.ui.installation.slicer_installer import SlicerInstaller

    return SlicerInstaller(FakeMachine())


@pytest.fixture
def the_torch_extension(monkeypatch, tmp_path):
    """Installed; a call loads it."""
    (tmp_path / "PyTorchUtils.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = FakeTorchLogic
    FakeTorchLogic.calls = []
    FakeTorchLogic.answer = ModuleType("torch")
    return lambda: monkeypatch.setitem(sys.modules, "PyTorchUtils", module)


@pytest.fixture
def pip(monkeypatch, slicer_application):
    """What pip_install and pip_uninstall of Slicer were asked for."""
    import slicer

    asked = []
    monkeypatch.setattr(slicer.util, "pip_install", lambda arguments: asked.append(arguments))
    monkeypatch.setattr(slicer.util, "pip_uninstall", lambda arguments: asked.append(arguments))
    return asked


def test_packages_are_ensured_by_slicer_without_a_second_question(an_installer, slicer_application, monkeypatch):
    import slicer

    slicer_application.packages.missing.add("pooch")
    seen = {}
    real = slicer.packaging.pip_ensure

    def ensuring(requirements, **keywords):
        seen.update(keywords, wheels=os.environ["PIP_ONLY_BINARY"], held=Path(keywords["constraints"]).read_text())
        return real(requirements, **keywords)

    monkeypatch.setattr(slicer.packaging, "pip_ensure", ensuring)
    an_installer.install(["pooch>=1.8"], None)

    assert slicer_application.packages.installed == ["pooch>=1.8"]
    assert slicer_application.dialogs.shown == []
    assert (seen["requester"], seen["wheels"]) == ("MemorizingSAM3D", ":all:")
    assert seen["held"].split() == ["SimpleITK==2.5.0", "numpy==2.4.0", "requests==2.32.3", "scipy==1.16.3"]
    assert "PIP_ONLY_BINARY" not in os.environ


def test_slicer_5_10_has_no_packaging_and_gets_by(an_installer, pip, monkeypatch):
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    an_installer.install(["pooch>=1.8"], None)

    assert len(pip) == 1
    assert pip[0][0] == "-c"
    assert pip[0][2:] == ["pooch>=1.8"]


def test_from_a_folder_pip_is_kept_off_the_network(an_installer, pip, tmp_path):
    folder = tmp_path / "my wheels"
    an_installer.install(["torch>=2.10"], folder)

    assert pip[0][:3] == ["--no-index", "--find-links", str(folder)]
    assert pip[0][-1] == "torch>=2.10"


def test_what_pip_raises_is_told_with_its_words(an_installer, slicer_application, monkeypatch):
    import slicer

    def failing(*arguments, **keywords):
        raise CalledProcessError(1, "pip", output="No space left\non device")

    monkeypatch.setattr(slicer.packaging, "pip_ensure", failing)
    with pytest.raises(InstallError, match="No space left on device"):
        an_installer.install(["pooch>=1.8"], None)
    assert "PIP_ONLY_BINARY" not in os.environ


def test_the_pytorch_extension_is_found_without_being_loaded(an_installer, the_torch_extension):
    assert an_installer.has_torch_extension
    assert "PyTorchUtils" not in sys.modules

    the_torch_extension()  # as Slicer loads it
    assert an_installer.has_torch_extension


def test_without_the_pytorch_extension(an_installer):
    assert not an_installer.has_torch_extension


@pytest.mark.parametrize("cpuOnly, backend", [(False, None), (True, "cpu")])
def test_pytorch_comes_through_its_extension(an_installer, the_torch_extension, cpuOnly, backend):
    the_torch_extension()

    assert an_installer.install_torch("2.10", cpuOnly)
    assert FakeTorchLogic.calls == [{"ask": False, "backend": backend, "version": ">=2.10"}]


def test_a_declined_pytorch_is_no_error(an_installer, the_torch_extension):
    the_torch_extension()
    FakeTorchLogic.answer = None

    assert not an_installer.install_torch("2.10", False)


@pytest.mark.parametrize(
    "error",
    [
        CalledProcessError(1, "light_the_torch"),
        OSError("[WinError 126] torch_cpu.dll"),
        ImportError("DLL load failed"),
        TypeError("'NoneType' object is not subscriptable"),
    ],
)
def test_whatever_the_extension_raises_over_a_half_pytorch_is_an_install_error(
    an_installer, the_torch_extension, error
):
    the_torch_extension()
    FakeTorchLogic.answer = error

    with pytest.raises(InstallError):
        an_installer.install_torch("2.10", False)


def test_pytorch_is_removed_with_the_torchvision_that_was_built_for_it(an_installer, pip):
    an_installer.remove(["torch"])

    assert pip == [["torch", "torchvision"]]
