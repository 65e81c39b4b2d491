"""Whole networks in PyTorch, with and without the plugin's kernels."""
