"""Selects calibration images and checks whether they are suitable."""
