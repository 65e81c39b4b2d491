"""The TensorRT plugin's kernels and logic on the host."""
