"""The packages that Slicer lacks: what is there, what is missing, and how it gets there. Needs no package itself.

Others use of it:

- ``accelerators``: accelerators, FAISS_GPU, FLASH_ATTENTION
- ``condition``: Condition, examine, examine_by_import, PackageState, SLICERS_OWN
- ``installation``: Installation, keep, Outcome, Result, Store, take
- ``machine``: Installer, InstallError, Machine
- ``plan``: Choice, make_plan, Plan, size_text, Step
- ``requirements``: TORCH
- ``this_python``: ThisPython
- ``wheels``: WheelFolder
"""
