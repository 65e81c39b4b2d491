"""Training with the recipe of the paper. What it minimizes is no part of the model."""
