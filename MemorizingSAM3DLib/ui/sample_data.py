"""The scans of the tutorial, in the category of this module in Slicer's Sample Data."""

from __future__ import annotations

import importlib
import importlib.util
from typing import NamedTuple

import slicer

from MemorizingSAM3DLib.engine.files import resource_path

CATEGORY = "MemorizingSAM3D"
# As in slicer.util.TESTING_DATA_URL: the place where Slicer's own Sample Data lie, by their SHA-256.
_HOST = "https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/"


class Sample(NamedTuple):
    """A scan that Slicer itself offers. file, node: as Slicer names them, so that its cache has the file but once."""

    name: str
    file: str
    node: str
    sha256: str
    thumbnail: str


# From Slicer's SampleData.py (registerBuiltInSampleDataSources). CTLiver is liver_100 of the Medical Segmentation
# Decathlon, CC-BY-SA 4.0; MRHead was given by the person it shows, to be used without any restriction.
SAMPLES = (
    Sample("Abdominal CT with liver tumours", "CTLiver.nrrd", "CTLiver",
           "e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e", "Abdomen.png"),
    Sample("Chest CT", "CT-chest.nrrd", "CTChest",
           "4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e", "Chest.png"),
    Sample("Head MR", "MR-head.nrrd", "MRHead",
           "cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93", "Head.png"),
    Sample("Brain tumour MR", "RegLib_C01_1.nrrd", "MRBrainTumor1",
           "998cb522173839c78657f4bc0ea907cea09fd04e44601f17c82ea27927937b95", "Tumour.png"),
)  # fmt: skip


def registerSampleData() -> None:
    """Adds the scans to Slicer's Sample Data, each once; does nothing in a Slicer without that module."""
    if not hasattr(slicer.modules, "sampledata") or importlib.util.find_spec("SampleData") is None:
        return
    logic = importlib.import_module("SampleData").SampleDataLogic
    registered = {source.sampleName for source in logic.sampleDataSourcesByCategory().get(CATEGORY, [])}
    for sample in SAMPLES:
        if sample.name not in registered:
            logic.registerCustomSampleDataSource(
                category=CATEGORY,
                sampleName=sample.name,
                uris=_HOST + sample.sha256,
                fileNames=sample.file,
                nodeNames=sample.node,
                checksums=f"SHA256:{sample.sha256}",
                thumbnailFileName=str(resource_path("SampleData", sample.thumbnail)),
            )
