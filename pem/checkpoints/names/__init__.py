"""The names of tensors: ours, and those of the codes that models are trained with."""
