"""Measurements of time and memory, each beside what it is compared with, in one run.

Others use of it:

- ``run``: all_parts, measure_part, TABLE, write_table
"""
