"""Traces a PyTorch model to a clean ONNX graph, and edits such graphs."""
