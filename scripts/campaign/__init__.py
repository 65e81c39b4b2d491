"""Campaigns against the product: hostile files, kills at every moment, long streams. Anyone can repeat them."""
