"""CUDA kernels for what comes before and after the model: their sources, their arguments and how they are launched."""
