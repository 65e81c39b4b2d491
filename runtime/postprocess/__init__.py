"""From a model's raw outputs to a panoptic map, a semantic map and instances. NumPy only."""

from runtime.postprocess.geometry import Geometry

__all__ = ["Geometry"]
