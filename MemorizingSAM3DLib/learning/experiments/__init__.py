"""The papers' experiments: variants that are compared, and their tables.

Others use of it:

- ``budget``: Budget, finished, note_done, numbers_of
- ``case_memory``: Ablations, arms_of, CaseArm, draw_growth, FINE_TUNED, GROWTH, OVERHEAD, PROPOSED, TABLES, TUNED,
  write_case_costs, write_csv
- ``mais``: Arm, arms_of, BANK_SIZES, compared, COST, Dice, dice_of, TABLES, TrainingPlan, write_comparison,
  write_costs
- ``model``: mean_over_seeds, model_arms, ModelArm, ModelPlan, spread_over_seeds, TABLES, TITLES
- ``proposals``: proposed_structures, ProposedStructure, write_proposals
"""
