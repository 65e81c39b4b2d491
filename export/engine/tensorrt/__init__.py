"""TensorRT and TensorRT-RTX: their interface as far as building needs it, and which of the two is used."""
