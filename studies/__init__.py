"""The papers' experiments: trainings, evaluations, tables, curves. Not part of the wheel, nor of Slicer's package."""
