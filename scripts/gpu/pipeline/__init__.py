"""From a frame to its panoptic map."""
