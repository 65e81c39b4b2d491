"""Chooses the objects of a scene and their positions."""
