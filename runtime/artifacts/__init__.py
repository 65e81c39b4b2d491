"""Exported models: the model file, its manifest, its labels, and the geometry of its input."""
