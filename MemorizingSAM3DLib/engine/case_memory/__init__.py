"""The memory of remembered cases (Memorizing SAM): files, index, and what they say of a new click.

Others use of it:

- ``attention``: CaseAttention, DEFAULT_ATTENDED, empty_tokens, KeyRecorder
- ``case``: CaseFacts, CaseLayout, MODALITIES
- ``descriptor``: Calibration, calibration_for, CropFacts, DESCRIPTOR_SIZE, descriptor_size, DIRECTIONS, finer_grid,
  multi_scale_descriptor
- ``memory``: Added, CaseMemory, Merged
- ``nearest``: Backend, NearestCases, Neighbours
- ``retrieval``: CaseRetrieval, DEFAULT_NEIGHBOURS, Point, same_name, ShapePrior
- ``shape_prior``: ANCHORS, SHAPE_SIZE, StructureShape
- ``store``: DEFAULT_BUDGET
"""
