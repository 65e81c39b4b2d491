"""Tries the backends: each runs the demo model in a process of its own."""
