"""How anything is measured: contenders in processes of their own, taken in turn, and the report.

Others use of it:

- ``benchmark_case``: BenchmarkCase, Group, Job, Part, Setting, UnavailableError, Wanted
- ``machine``: available_bytes, machine_facts
- ``process``: forget_peak, measure_group, peak_of_process, Progress, waiting
- ``report``: machine_line, markdown, Report, rows_of, table_cells, table_csv, write_report, write_texts
- ``roofline``: ceiling_of, counted, device_group, encode_facts
"""
