"""One interactive session: prompts, replays, crops, refinement, and the predictor that runs the network.

Others use of it:

- ``crop_policy``: first_grid, grid_around
- ``locality``: accepted_region, hold_clicks
- ``locate_structure``: Proposal, Proposer
- ``predictor``: Predictor
- ``prefetch``: pays, prefetch_crops
- ``remember_case``: attention_to, case_layout, open_case_retrieval, open_or_create_case_retrieval, remember
- ``replay``: Replay
- ``session``: InteractiveSession
"""
