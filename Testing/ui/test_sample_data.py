from __future__ import annotations

import re
import struct
import sys
from types import ModuleType, SimpleNamespace

import pytest

from MemorizingSAM3DLib.engine.files import resource_path
from Testing.ui.conftest import MODULE_FILE


class SampleDataLogic:
    """What Slicer's SampleData has of it; registering refuses what Slicer does not know."""

    registered: dict[str, list[SimpleNamespace]] = {}

    @classmethod
    def sampleDataSourcesByCategory(cls, category=None):
        return cls.registered if category is None else cls.registered.get(category, [])

    @classmethod
    def registerCustomSampleDataSource(
        cls, category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None,
        thumbnailFileName=None, loadFileType=None, loadFiles=None, loadFileProperties=None, checksums=None,
    ):  # fmt: skip
        source = SimpleNamespace(sampleName=sampleName, uris=uris, fileNames=fileNames, nodeNames=nodeNames,
                                 thumbnailFileName=thumbnailFileName, checksums=checksums)  # fmt: skip
        cls.registered.setdefault(category, []).append(source)


@pytest.fixture
def sample_data(slicer_application, monkeypatch):
    """Slicer's module SampleData."""
    module = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    module.__spec__ = SimpleNamespace(name="SampleData")
    monkeypatch.setitem(sys.modules, "SampleData", module)
    monkeypatch.setattr(SampleDataLogic, "registered", {"General": [SimpleNamespace(sampleName="Chest CT")]})
    return SampleDataLogic


def ours(sample_data):
    return sample_data.registered.get("MemorizingSAM3D", [])


def test_the_scans_are_there_when_slicer_has_started(sample_data, a_module, slicer_application):
    assert ours(sample_data) == []
    slicer_application.completeStartup()

    names = [source.sampleName for source in ours(sample_data)]
    assert "Chest CT" in names  # Slicer's own of this name is in another category
    assert len(names) == len(set(names)) == 4


def test_each_is_registered_once(sample_data, slicer_application, a_module):
    slicer_application.completeStartup()
    before = list(ours(sample_data))
    slicer_application.completeStartup()
    a_module.reload()
    slicer_application.completeStartup()

    assert ours(sample_data) == before


def test_every_scan_has_an_address_a_checksum_and_a_picture(sample_data):
    from MemorizingSAM3DLib.ui.sample_data import registerSampleData

    registerSampleData()
    for source in ours(sample_data):
        kind, _, digest = source.checksums.partition(":")
        assert kind == "SHA256" and re.fullmatch("[0-9a-f]{64}", digest)
        # Slicer's own place for test data, where a file's name is its checksum.
        assert source.uris == f"https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/{digest}"
        assert source.fileNames.endswith(".nrrd")
        assert source.nodeNames
        with open(source.thumbnailFileName, "rb") as file:
            assert file.read(8) == b"\x89PNG\r\n\x1a\n"


def test_every_picture_belongs_to_a_scan_and_is_as_large_as_slicers(sample_data):
    from MemorizingSAM3DLib.ui.sample_data import SAMPLES

    folder = resource_path("SampleData")
    assert sorted(file.name for file in folder.iterdir()) == sorted(sample.thumbnail for sample in SAMPLES)
    sizes = {struct.unpack(">II", (folder / sample.thumbnail).read_bytes()[16:24]) for sample in SAMPLES}
    assert len(sizes) == 1


def test_a_slicer_without_sample_data_starts_all_the_same(slicer_application, monkeypatch, no_error_in_slots):
    import slicer

    from MemorizingSAM3DLib.ui.sample_data import registerSampleData

    monkeypatch.delattr(slicer.modules, "sampledata")
    monkeypatch.setitem(sys.modules, "SampleData", None)
    registerSampleData()
    slicer_application.openModule(MODULE_FILE)
    slicer_application.completeStartup()


def test_a_sample_data_that_is_switched_off_is_not_imported(sample_data, monkeypatch):
    import slicer

    from MemorizingSAM3DLib.ui.sample_data import registerSampleData

    monkeypatch.delattr(slicer.modules, "sampledata")
    registerSampleData()

    assert ours(sample_data) == []
