"""Evaluation: simulated sessions over cases, their scores, statistics, reports, and baselines.

Others use of it:

- ``baselines``: Baseline, BaselineError, classic_baselines, ClickedCrop, OBJECT, UNKNOWN
- ``challenge``: CHALLENGE_CLICKS, CHALLENGE_STARTS, challenge_table, CVPR25, PROTOCOLS
- ``effort``: effort_table
- ``evaluate``: evaluated_labels, EvaluationOptions, failure_message
- ``first_prompts``: BOX, REGIONS, STARTS
- ``memory_options``: CaseMemoryChoice, MemoryChoice, Names, OFF
- ``metrics``: dice
- ``report``: CASES, CurveError, draw_curves, failures_json, replacing, require_matplotlib, versions, write_results
- ``results``: MODEL, never_trained_on, ResumeLog, SAME_CLICKS
- ``run``: CaseSource, FORMAT_VERSION, identity, Job, ModelSource, Outcome, run_evaluation, work_items, WorkerError
- ``statistics``: CaseBootstrap, summarise, Summing
"""
