"""What is wrong with the labeled images of a dataset, before hours of training show it."""
