"""MemorizingSAM3D: interactive 3D segmentation for 3D Slicer."""

__version__ = "0.1.0"
