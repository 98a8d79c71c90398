"""What needs labels: data, training, evaluation. Never imports slicer, vtk or qt.

Others use of it:

- ``case_memory``: build, BuildJob, BuildProgress, calibrate
- ``processes``: join_processes, Processes, stopping_gracefully, TrainingError
- ``simulated_user``: central_click
"""
