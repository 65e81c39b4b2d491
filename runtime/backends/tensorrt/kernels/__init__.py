"""CUDA kernels for preprocessing and merge: their sources, compilation, arguments and launches."""
