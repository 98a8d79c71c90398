"""What comes after the network: logits to the scan's grid, and the mask into the scene."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
import torch

from MemorizingSAM3DLib.engine.geometry import Box, CropGrid, Volume, paste_logits, refined_logits
from MemorizingSAM3DLib.engine.networks.sam3d import upsample_logits

from .. import fixtures
from ..fixtures import CROP_SPACING_MM, ORGAN_RADII_MM, a_volume, organ_box, scan_node
from ..harness.benchmark_case import BenchmarkCase, Group, Job, Part, Setting, Wanted
from .click import OURS, scan_size

_CELLS = 64  # of the shipped network's logits along an edge
Way = Literal["changed box", "whole scan", "slicer.util"]


def writing_part(setting: Setting) -> Part:
    """Both steps."""
    return Part("writing", "From logits to the segment", [pasting_group(setting), scene_group()])


def pasting_group(setting: Setting) -> Group:
    """Logits to the scan's grid."""
    benchmark_cases = [
        BenchmarkCase(OURS, paste, {}),
        BenchmarkCase("ours, the whole crop", paste, {"whole": True}),
        BenchmarkCase("ours, the whole crop, an oblique scan", paste, {"whole": True, "oblique": True}),
        BenchmarkCase("published way: to 128^3, then resampled by ITK", paste_as_published, {}),
    ]
    wanted = {} if setting.on_gpu else {OURS: Wanted(most_ms=20)}
    remark = f"{_CELLS}^3 logits of a crop of 192 mm, a scan of {scan_size()} voxels, an organ of 90 x 70 x 80 mm."
    return Group("Logits to the scan's grid", benchmark_cases, OURS, wanted, remark=remark)


def some_logits(grid: CropGrid, cells: int = _CELLS) -> np.ndarray:
    """(m, m, m) float32: those of the organ, negative outside."""
    places = grid.coarser(cells).index_to_ras(np.repeat(np.arange(cells)[:, None], 3, 1)) / np.array(ORGAN_RADII_MM)
    r, a, s = places.T
    distance = np.sqrt(r[:, None, None] ** 2 + a[:, None] ** 2 + s**2)
    return (10 * (1 - distance)).astype(np.float32)


def paste(setting: Setting, whole: bool = False, oblique: bool = False) -> Job:
    """Refined and pasted, as a click does it: into the organ's box, or all that the crop covers."""
    volume = _turned(a_volume()) if oblique else a_volume()
    grid = CropGrid((0.0, 0.0, 0.0), CROP_SPACING_MM, 128)
    logits, box = some_logits(grid), None if whole else organ_box(volume)
    return Job(lambda: paste_logits(refined_logits(logits), grid, volume, box)[1] > 0)


def paste_as_published(setting: Setting) -> Job:
    """Trilinear to the crop's voxels, a mask of them, the mask on the whole scan's grid by nearest neighbour."""
    volume = a_volume()
    grid = CropGrid((0.0, 0.0, 0.0), CROP_SPACING_MM, 128)
    logits, scan = torch.from_numpy(some_logits(grid))[None, None], volume.to_sitk()

    def run() -> np.ndarray:
        mask = (upsample_logits(logits, grid.size)[0, 0] > 0).numpy().astype(np.uint8)
        image = sitk.GetImageFromArray(mask)
        image.CopyInformation(grid.reference_image())
        nearest = sitk.Resample(image, scan, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
        return sitk.GetArrayFromImage(nearest) > 0

    return Job(run)


def scene_group() -> Group:
    """A mask into the segment."""
    ways: tuple[Way, ...] = ("changed box", "whole scan", "slicer.util")
    benchmark_cases = [BenchmarkCase(way, write, {"way": way}) for way in ways]
    remark = (
        f"A scan of {scan_size()} voxels in slicer-core's MRML; the organ grows and shrinks by 2 mm in turn. The last "
        "line: slicer.util.updateSegmentBinaryLabelmapFromArray, which writes the whole scan."
    )
    return Group("The mask into the segment", benchmark_cases, ways[0], remark=remark)


def write(setting: Setting, way: Way) -> Job:
    """Writes one of two masks in turn."""
    node = scan_node()
    import slicer

    from MemorizingSAM3DLib.scene.segments.segmentation import addSegment, createSegmentation
    from MemorizingSAM3DLib.scene.segments.writer import SegmentWriter

    segmentation = createSegmentation(node, "Organ")
    segment = addSegment(segmentation, "Organ")
    writer = SegmentWriter(segmentation, segment, node)
    masks = [organ_mask(scale) for scale in (1.0, 1.05)]
    box = Box.of_mask(masks[1])
    state: dict[str, Any] = {"number": 0}

    def run() -> None:
        state["number"] += 1
        mask = masks[state["number"] % 2]
        if way == "slicer.util":
            slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation, segment, node)
        else:
            writer.write(mask, box if way == "changed box" else None)

    return Job(run)


def organ_mask(scale: float) -> np.ndarray:
    """(K, J, I) bool: the organ of the made-up scan, its radii times the scale."""
    axes = [
        ((np.arange(n) - (n - 1) / 2) * mm / (radius * scale)) ** 2
        for n, mm, radius in zip(fixtures.SHAPE, fixtures.SPACING_MM[::-1], ORGAN_RADII_MM[::-1], strict=True)
    ]
    return np.asarray(axes[0][:, None, None] + axes[1][:, None] + axes[2] < 1)


def _turned(volume: Volume) -> Volume:
    """The scan, turned by 20 degrees about S."""
    c, s = np.cos(np.deg2rad(20)), np.sin(np.deg2rad(20))
    turn = np.eye(4)
    turn[:2, :2] = [[c, -s], [s, c]]
    return Volume(volume.array, turn @ volume.ijk_to_ras, volume.modality)
