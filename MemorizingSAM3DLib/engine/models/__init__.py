"""Checkpoints: their files, the registry of known models, downloads, and what lies on this computer.

Others use of it:

- ``checkpoints``: build_published, Checkpoint, convert_published, inspect, load, load_default, save_native
- ``download``: cache_folder, cached_models, CachedModel, fetch, remove
- ``published_file``: PublishedFamily
- ``registry``: known_models, ModelEntry, record_facts
- ``store``: CheckedModel, ModelState, ModelStore, StoredModel
- ``weights_file``: encoder_fingerprint, Precision, weights_fingerprint, WeightsFile, without_values, write_weights
"""
