"""Training: data, clicks, losses, evaluation. Never imports slicer, vtk or qt."""
