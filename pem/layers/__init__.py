"""Layers that the backbones and decoders are built from."""
