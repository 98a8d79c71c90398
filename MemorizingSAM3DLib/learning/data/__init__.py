"""From label maps to batches: manifests, packs, random crops, augmentation, samples.

Others use of it:

- ``batches``: BatchSource, DeviceBatches, LoadedBatches, RepeatedBatches
- ``cases``: Case, case_volume, read_unlabelled
- ``make_manifest``: make_manifest, ManifestOptions, read_folder, write_manifest
- ``manifest``: DataError, Entry, image_and_label, read_manifest, select, some_of_each_dataset
- ``pack``: Collection, write_pack
- ``prompted_samples``: DataShares, PromptedSamples
- ``random_crops``: random_placement
- ``samples``: LEAST_CELLS, SampleStream
- ``views``: column, to_device
"""
