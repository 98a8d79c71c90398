"""What is measured: one file for each part of the benchmark.

Others use of it:

- ``click``: click_part
- ``encode``: encode_part
- ``memories``: measure_case_memory, memory_part
- ``scaling``: knn_part, scaling_part, SCANS
- ``session``: session_part, start_part
- ``write``: writing_part
"""
