"""Stand-ins for TensorRT and CUDA on machines without a GPU, and the names in TensorRT's Python bindings."""
