"""Differences between two benchmark reports."""
