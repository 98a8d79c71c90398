"""One edit after another: what a click does to a segment, undo and redo, and the record that is saved.

Others use of it:

- ``history``: describedFor
- ``segment_edits``: SegmentEdits, withoutClick, withTurnedClick
- ``segment_record``: lastClickedSegment, RECORD_TAG, scanOf, segmentationOf
"""
