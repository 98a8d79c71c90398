"""The promptable networks, their parts and the memories' attention: modules that compute.

Others use of it:

- ``attention``: attend, flash_attn_function, relative_table, sparse_attend
- ``click_maps``: ClickCanvas
- ``config``: Family, fastsam3d_config, NetworkConfig, sam_med3d_config, shipped_config, spacing_range_of
- ``full_grid``: FullGridPromptEncoder
- ``image_encoder``: Attention, AttentionHook, Block, ImageEncoder, ImageFeatures
- ``layers``: DepthwiseConv3d
- ``memorizing_attention``: distance_weights, LayerMemory, MemorizingAttention, PAPER_RATIO
- ``memory_attention``: conditioned, DEFAULT_CAPACITY, DenseMemory, halved, InteractionConfig, MAXIMAL_CAPACITY,
  MemoryAttention, MemoryStack, MemoryTypes, Projected, SparseMemory
- ``normalisation``: CT_CENTRE_HU, CT_RANGE_HU, CT_SCALE_HU, normalise, ROBUST_PERCENTILES
- ``prompt_encoder``: NativePromptEncoder, PromptEncoder
- ``prompt_maps``: BOX_IN, BOX_OUT, LASSO_IN, LASSO_OUT, PADDING, POINT_IN, POINT_OUT, SCRIBBLE_IN, SCRIBBLE_OUT
- ``sam3d``: build_network, NativeSAM3D, PublishedSAM3D, SAM3D, upsample_logits
"""
