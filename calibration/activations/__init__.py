"""Activation statistics: collected on images, cached on disk, and turned into ranges."""
