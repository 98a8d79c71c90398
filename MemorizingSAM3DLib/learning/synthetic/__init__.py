"""Structures that nobody labelled: made scenes, rendered label maps, and what a scan's intensities show.

Others use of it:

- ``scenes``: anatomical_scene, LabelScene, made_scene, read_label_scenes
- ``supervoxels``: supervoxel_structure
- ``synthesis``: synthesise
"""
