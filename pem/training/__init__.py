"""Training with the recipe of the paper. The losses are here, not in the model."""
