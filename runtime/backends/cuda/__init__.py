"""The parts of CUDA that the TensorRT backends use: calls, memory, kernels, and GPU arrays of other libraries."""
