"""What is stored in files: images and videos, one or many."""
