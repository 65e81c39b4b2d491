"""Results of a segmenter: panoptic maps and their segments, drawn, saved and written in COCO's format."""
