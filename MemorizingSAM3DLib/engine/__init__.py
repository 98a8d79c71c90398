"""The engine: from prompts in millimetres to a mask on the scan's grid. Never imports slicer, vtk or qt.

Others use of it:

- ``errors``: CheckpointError, ClickError, EngineError, OutputError, PromptError, VolumeError
- ``files``: atomic_file, resource_path
- ``prompts``: BoxPrompt, Click, Lasso, MemorySettings, Point, Prompt, Prompts, Scribble
"""
