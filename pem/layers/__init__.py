"""Building blocks that several parts of the models share."""
