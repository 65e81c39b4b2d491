"""The names by which a graph finds the plugin; plugin.h has them, too."""

DOMAIN, NAME = "pem_edge", "PemDeformConv"
"""Domain and name of the operator in ONNX. TensorRT's parser goes by the name and the version."""

VERSION = "2"
"""Version of the plugin: the attribute ``plugin_version`` of a node. Without the attribute, a node means version 1."""
