"""Training batches and their augmentations."""
