"""Postprocessing: turns a model's outputs into a panoptic map, a semantic map or instances.

`panoptic`, `semantic` and `instances` take the sizes as separate arguments. `merge`, `classify_pixels` and
`find_instances` do the same with a `Geometry`.
"""

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference.postprocess.instance_masks import find_instances, instances
from pem_edge.runtime.inference.postprocess.panoptic_merge import merge, merging, panoptic
from pem_edge.runtime.inference.postprocess.semantic_map import classify_pixels, semantic

__all__ = ["Geometry", "classify_pixels", "find_instances", "instances", "merge", "merging", "panoptic", "semantic"]
