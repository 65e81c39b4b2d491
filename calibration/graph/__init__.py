"""ONNX graph tools: an index, shapes, and multiply-accumulates."""
