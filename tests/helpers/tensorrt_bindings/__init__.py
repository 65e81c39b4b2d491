"""Stand-ins for TensorRT on the simulated CUDA of `reference`, and the names in TensorRT's Python bindings."""
