"""From a model's raw outputs to a panoptic map, a semantic map and instances.

`panoptic`, `semantic` and `instances` take sizes one by one; `merge`, `classify_pixels` and `find_instances` are the
same for callers that have a `Geometry`.
"""

from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.inference.postprocess.instance_masks import find_instances, instances
from pem_edge.runtime.inference.postprocess.panoptic_merge import merge, merging, panoptic
from pem_edge.runtime.inference.postprocess.semantic_map import classify_pixels, semantic

__all__ = ["Geometry", "classify_pixels", "find_instances", "instances", "merge", "merging", "panoptic", "semantic"]
