"""Tools for ONNX graphs: look up nodes and tensors, infer shapes, count multiply-accumulates, run parts."""
