"""From an ONNX artifact to an engine of TensorRT or TensorRT-RTX. Never imports torch: a Jetson has none."""
