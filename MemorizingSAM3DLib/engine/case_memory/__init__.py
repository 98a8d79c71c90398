"""The memory of remembered cases (Memorizing SAM): files, index, and what they say of a new click.

Others use of it:

- ``attention``: CaseAttention, DEFAULT_HEARD, empty_tokens, KeyRecorder
- ``case``: CaseFacts, CaseLayout, MODALITIES
- ``descriptor``: both_looks, Calibration, calibration_for, closer_grid, CropFacts, descriptor_size, DESCRIPTOR_SIZE,
  DIRECTIONS
- ``memory``: Added, CaseMemory, Merged
- ``nearest``: Backend, NearestCases, Neighbours
- ``recall``: CaseRecall, DEFAULT_NEIGHBOURS, Point, Recollection, same_name
- ``shape_prior``: ANCHORS, SHAPE_SIZE, StructureShape
- ``store``: DEFAULT_BUDGET
"""
