"""Builds engines of TensorRT or TensorRT-RTX from ONNX artifacts. Never imports torch: a Jetson has none."""
