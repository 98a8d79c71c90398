"""Without the Slicer application: a scene of its own, pictures, and the demonstration. Not part of Slicer's package.

Others use of it:

- ``application``: bootScene
- ``demonstration``: ClickedSegment, ClickReport, Demonstration, OUTPUT_FILES, writeDemoScan
- ``grow_from_seeds``: GrowFromSeeds
"""
