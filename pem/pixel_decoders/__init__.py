"""Pixel decoders: from the backbone's features to the levels that queries attend to."""
