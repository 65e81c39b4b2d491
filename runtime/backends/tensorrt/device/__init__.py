"""Runs all stages from an image to its panoptic map on the GPU."""
