"""Training: objectives, losses, and the loop that can be stopped and resumed at any step.

Others use of it:

- ``changed_networks``: for_other_crops, SAM3DWithMemory, TrainableMemoryAttention
- ``distillation``: DistillationObjective, DistillationOptions, student_of
- ``interaction_memory``: MemoryObjective, MemoryOptions
- ``log``: draw_curves, PlottingError
- ``objective``: Batch, ClickObjective, ClickOptions, Objective
- ``prompt_objective``: PromptObjective, PromptOptions
- ``trainer``: averaged_network, averaged_with_memory, read_state, STATE, Trainer, TrainingOptions
"""
