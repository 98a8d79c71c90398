"""The engine as the scene sees it: its thread, the chosen model, and the memories.

Others use of it:

- ``case_memory``: CaseMemoryFacts
- ``engine_thread``: ComputedMask, Inference, SupersededError
- ``memories``: Memories
- ``model_choice``: LoadedModel, ModelChoice
- ``model_manager``: ModelManager
"""
