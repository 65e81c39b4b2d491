"""Measures the accuracy that each block loses in INT8, and chooses the blocks to keep in floating point."""
