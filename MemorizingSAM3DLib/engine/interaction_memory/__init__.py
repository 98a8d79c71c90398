"""The memory of past interactions in a session (MAIS): what is kept of a click, and how the next crop uses it.

Others use of it:

- ``bank``: Interaction, known_alone
- ``conditioning``: InteractionConditioner, InteractionMemory, load_default_interaction_memory,
  load_interaction_memory, save_interaction_memory
"""
