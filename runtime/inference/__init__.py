"""Inference on one image, a batch or a stream: preprocessing, the pipeline's stages and postprocessing."""
