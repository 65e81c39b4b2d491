"""Loads a TensorRT engine from its file, and runs it."""
