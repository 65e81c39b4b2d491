"""How good the model is on images that it does not learn from, measured as an exported one would be."""
