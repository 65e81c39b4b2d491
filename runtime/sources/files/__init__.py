"""Sources in files: images and videos, one or many."""
