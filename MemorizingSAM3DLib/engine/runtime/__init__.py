"""The computer: devices and precisions, out of memory, CUDA graphs, and the one worker thread.

Others use of it:

- ``cuda_check``: check_cuda
- ``cuda_graphs``: CudaGraphs, GraphBackend, GraphedCalls
- ``device``: choose_runtime, cpu_computes_bfloat16, keep_freed_memory, Precision, Runtime
- ``out_of_memory``: DeviceMemory, MemoryLadder, TorchMemory
- ``worker``: CancelledError, CancelToken, Job, Outcome, Worker
"""
