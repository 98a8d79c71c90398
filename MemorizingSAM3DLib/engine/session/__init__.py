"""One interactive session: prompts, replays, crops, refinement, and the predictor that runs the network.

Others use of it:

- ``crop_policy``: first_grid, grid_around
- ``locality``: accepted_region, hold_clicks
- ``locate_structure``: Proposal, Proposer
- ``predictor``: Predictor
- ``prefetch``: look_ahead, pays
- ``remember_case``: attention_to, case_layout, open_case_recall, open_or_create_case_recall, remember
- ``replay``: Replay
- ``session``: InteractiveSession
"""
