"""Segmentation nodes: reading masks, writing boxes, and the oriented images between.

Others use of it:

- ``oriented_images``: alignSegmentation, isOnOtherGrid
- ``resampled_copy``: resampleToScan
- ``segmentation``: addSegment, createSegmentation, isLocked, maskFromSegment, nextName, packedMaskFromSegment,
  setLocked
- ``writer``: SegmentWriter
"""
