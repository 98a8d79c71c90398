"""The engine: volumes, networks, checkpoints and the interactive session. Never imports slicer, vtk or qt."""
