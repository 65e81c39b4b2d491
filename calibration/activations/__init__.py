"""Collects statistics of activations on images, stores them, and derives ranges from them."""
