"""A TensorRT engine from its file to a run: loading, execution contexts, sessions."""
