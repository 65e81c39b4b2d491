"""Tests of the TensorRT plugin that need neither a GPU nor TensorRT."""
