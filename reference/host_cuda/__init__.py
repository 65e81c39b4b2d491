"""CUDA on the host: headers with which g++ compiles the project's kernels, and libraries of them behind ctypes."""
