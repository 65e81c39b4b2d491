"""The published formulation of each family, part by part, on the weights of our modules."""
