"""The module's panel, one class for each of its sections.

Others use of it:

- ``panel``: Panel
- ``parameters``: PanelParameters
"""
