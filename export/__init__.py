"""Turns a checkpoint into an artifact: traces the graph, cleans it, verifies it, and writes the files."""
