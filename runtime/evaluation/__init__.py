"""Scores on labeled images: metrics, a table of them, and pictures of the errors."""
