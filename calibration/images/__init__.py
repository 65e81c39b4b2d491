"""Calibration images: which ones to use, and whether they are fit for it."""
