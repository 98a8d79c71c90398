"""The computer: devices and precisions, out of memory, CUDA graphs, and the one worker thread.

Others use of it:

- ``cuda_check``: check_cuda
- ``cuda_graphs``: CudaGraphs, GraphBackend, GraphedCalls
- ``device``: choose_runtime, cpu_computes_bfloat16, Precision, Runtime, tune_allocator
- ``out_of_memory``: DeviceMemory, OutOfMemoryFallback, TorchMemory
- ``worker``: CancelledError, CancelToken, Job, Outcome, Worker
"""
