"""What can be known of TensorRT where it cannot be installed: the names in its Python bindings."""
