"""Labeled images: datasets in COCO's panoptic format and generated toy streets."""
