"""The results of a segmenter, and ways to draw and save them."""
