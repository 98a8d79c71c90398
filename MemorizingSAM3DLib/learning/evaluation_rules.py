"""How an evaluation measures, in words: they go into results.json beside what was measured."""

from __future__ import annotations

from .bootstrap import LEVEL, REPLICATES

RULES = {
    "prompts": "Scores count prompts; options.start says what the first one is, all later ones are points. point: by "
    "the rule of all later ones, from an empty mask. box: the truth's, on the scan's grid, with half a voxel of "
    "margin around the voxels' centres. flat-box: the box of the largest axial slice's truth, on that slice. "
    "scribble: along the middle of the truth in the slice of any axis where it is largest. lasso: the outline of the "
    "truth there. Where a slice shows several parts, both take the largest.",
    "clicks": "Each point at the voxel farthest inside the larger of the two error regions, missed or false, of the "
    "model's last mask (distance transform in mm, the scan's border counts as outside): the published evaluation's "
    "rule. Where nothing is wrong any more, the scores stay. With options.protocol cvpr25: see challenge.",
    "baselines": "Each baseline gets exactly the prompts that the model's run made, one after another. It hears "
    "points alone: a scribble counts as its points, a box or a lasso as its centre.",
    "baselines_own_clicks": "Each baseline gets prompts by the same rule on its own errors; the first is the same.",
    "dice": "Of the mask after n prompts. dice_max, nsd_max: the best of the first n, which published figures are.",
    "nsd": "Share of both surfaces within the tolerance of the other one (surface elements weighted by area); null "
    "where voxel sizes are nominal. mean.nsd covers the datasets that have it.",
    "auc": "Area under the score against prompts 1 to n (trapezoids), divided by n - 1.",
    "monotony": "Of the prompts after the first that were made and did not fail, the share that lost more than 0.01, "
    "and more than 0.05, of Dice against the prompt before. Over datasets: the mean of their shares.",
    "prompts_to": "Prompts until Dice is first at least so high. mean: over the structures that reach it within the "
    "budget. median: over all, those that do not counted as beyond the budget (null: half of them or more). never: "
    "the share that does not. Over datasets: the mean of their means and of their shares, the median over all "
    "structures.",
    "challenge": "With options.protocol cvpr25, the rule of the CVPR 2025 challenge on interactive 3D segmentation. "
    "Each point in the largest 26-connected part of all that is wrong, missed and false together, at the voxel "
    "farthest from its outside, counted in voxels, ties by seed 42; its sign is the truth's there. The box, if the "
    "first prompt is one, is that of the middle slice, up to 5/256 of the slice wider on each side, through all "
    "axial slices of the structure. dsc_auc, nsd_auc: area under the scores after each point (trapezoids), 4.0 at "
    "most for five; a box before them does not count. NSD at 2 mm, 0 where Dice is 0.2 or less. A case is the mean "
    "over its structures, what is told the mean over cases. No limit of time is applied.",
    "mean": "Over datasets, each the mean over its structures. all_labels: over all structures. never_trained: as "
    "mean, over the datasets of options.never_trained alone, which the model was never trained on.",
    "interval": f"{LEVEL:.0%} percentile interval of {REPLICATES} bootstrap replicates that resample the cases of "
    "each dataset; a dataset of one case has an interval without width.",
    "ahead": "The model's mean minus the baseline's on the same structures, with the paired interval.",
    "failures": "A contender that fails at a prompt keeps its last mask, and is scored by it, from there on; cases "
    "and structures that could not be evaluated at all are in no mean.",
}
