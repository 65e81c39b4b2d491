"""CUDA as the TensorRT backends use it: the driver, memory, kernels, and arrays of other libraries."""
