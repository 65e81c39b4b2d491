"""A stand-in for CUDA on machines without a GPU, strict about the order of asynchronous work."""
