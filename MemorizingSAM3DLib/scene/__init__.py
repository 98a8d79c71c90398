"""The scene: MRML volumes, markups and segmentations on one side, engine objects on the other."""
