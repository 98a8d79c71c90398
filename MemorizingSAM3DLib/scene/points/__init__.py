"""Points in the scene: markups lists, the place mode, and the prompts that they are.

Others use of it:

- ``markups``: clicksFromNodes, createPromptNode, NEGATIVE_COLOR, POSITIVE_COLOR
- ``place_mode``: jumpTo, PointPlacing
- ``point_lists``: addPoint, Point, PointLists
"""
