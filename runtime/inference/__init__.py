"""From an image to its result: preprocessing, the stages of a pipeline, postprocessing, streams."""
