"""Tests of the pipeline's kernels that need no GPU."""
