"""Measures how fast artifacts are on this machine, where the time goes, and which one to ship."""
