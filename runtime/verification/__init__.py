"""Compares what a loaded model computes with what it should compute."""
