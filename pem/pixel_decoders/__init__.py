"""Pixel decoders, which turn the backbone's feature maps into mask features and the levels that queries attend to."""
