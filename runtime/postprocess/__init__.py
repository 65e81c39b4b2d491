"""From a model's raw outputs to a panoptic map, a semantic map and instances."""

from runtime.postprocess.geometry import Geometry
from runtime.postprocess.instance_masks import instances
from runtime.postprocess.panoptic_merge import merging, panoptic
from runtime.postprocess.semantic_map import semantic

__all__ = ["Geometry", "instances", "merging", "panoptic", "semantic"]
